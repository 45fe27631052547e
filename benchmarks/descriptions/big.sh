head -c "$((mib * 1024 * 1024))" /dev/zero > "$out"
