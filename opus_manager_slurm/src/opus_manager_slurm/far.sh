# Runs on the login node, from the standard input of one ssh session; opus_manager_slurm/far.py
# writes what it reads and reads what it writes. Fields are ended by NUL, so no value is ever part
# of a command. Needs bash 4.2, coreutils, findutils and tar.

umask 077
export LC_ALL=C SLURM_TIME_FORMAT=%s
unset -v "${!SBATCH_@}" "${!SQUEUE_@}" "${!SACCT_@}" "${!SCANCEL_@}"
said='' code=0 list=()

field() { IFS= read -r -d '' "$1" || finish 70 "the connection was cut"; } # NAME

fields() { # set $list; its length comes first
  local count entry
  field count
  list=()
  while ((count-- > 0)); do
    field entry
    list+=("$entry")
  done
}

say() { printf '%s\0' "$@"; }

# What follows the answer tells that it is whole; what a login shell prints before it is skipped.
finish() { # CODE TEXT
  printf '\nopus-%s-end %d\n%s' "$nonce" "$1" "$2"
  exit 0
}

call() { # SECONDS COMMAND...: it reads what is left of the input
  { said=$(timeout -k 5 "$1" "${@:2}" 2>&1 >&3 3>&-); code=$?; } 3>&1
}

links() { # FOLDER...: claim and started, and the text of exit
  local folder text
  (($#)) || return
  find "$@" -mindepth 1 -maxdepth 1 '(' -name claim -o -name started ')' -type l \
    -printf '%h\0%f\0%l\0' 2>/dev/null
  for folder; do
    [[ -f $folder/exit && ! -L $folder/exit ]] || continue
    { IFS= read -r -d '' -n 65536 text <"$folder/exit"; } 2>/dev/null
    say "$folder" exit "$text"
  done
}

greet() { # who and where we are; and leave nothing lying about for ever
  local root
  field root
  cd && mkdir -p -- "$root" && chmod 700 -- "$root" && cd -P -- "$root" ||
    finish 73 "the folder $root cannot be used"
  say "$(id -un)" "$PWD" "$BASH_VERSION"
  find . -mindepth 1 -maxdepth 1 -mtime +30 '(' -name '*.part.*' -o ! -exec test -e '{}/run' ';' ')' \
    -exec rm -rf -- '{}' + >/dev/null 2>&1 </dev/null
}

run() {
  local seconds
  field seconds
  fields
  call "$seconds" "${list[@]}"
}

# The folder appears whole or not at all. One that is there already stays as it is: it may be
# running, or sealed, or have been removed but for its claim so that nothing begins there again.
start() {
  local seconds folder script part
  field seconds
  fields
  field folder
  field script
  if [[ -d $folder ]]; then
    cat >/dev/null
  else
    part=$(mktemp -d -- "$folder.part.XXXXXX" 2>&1) || finish 75 "$part"
    said=$(tar -x -f - -C "$part" --no-same-owner 2>&1) || {
      rm -rf -- "$part"
      finish 75 "$said"
    }
    # A connection that is cut off between two files leaves tar content with what has come.
    rm -- "$part/.whole" 2>/dev/null || {
      rm -rf -- "$part"
      finish 75 'the folder of the job came only in part'
    }
    said=$(mv -T -- "$part" "$folder" 2>&1) || {
      rm -rf -- "$part"
      [[ -d $folder ]] || finish 75 "$said"
    }
  fi
  call "$seconds" "${list[@]}" <<<"$script"
}

peek() {
  fields
  links "${list[@]}"
}

# No folder yet: it may be on its way. Then one that is sealed stands in its place.
seal() {
  local folder
  field folder
  mkdir -p -- "$folder" 2>/dev/null
  ln -sT -- sealed "$folder/claim" 2>/dev/null ||
    [[ $(readlink -- "$folder/claim") == sealed ]] ||
    ln -sT -- sealed "$folder/started" 2>/dev/null
  links "$folder"
}

# Each file as name, size, hash, where its bytes begin; then the bytes.
fetch() {
  local folder file size hash have index
  field folder
  fields
  for ((index = 0; index < ${#list[@]}; index += 2)); do
    file=$folder/${list[index]} have=${list[index + 1]}
    [[ -f $file && ! -L $file && ! -L ${file%/*} ]] || continue
    size=$(stat -c %s -- "$file") && hash=$(sha256sum <"$file") || finish 74 "$file cannot be read"
    ((have <= size)) || have=0
    say "${list[index]}" "$size" "${hash%% *}" "$have"
    tail -c "+$((have + 1))" -- "$file" | head -c "$((size - have))"
  done
}

# What is new of some files, a piece of each: folder, name, where it begins, its length, the bytes.
output() {
  local most folder name have file size length index
  field most
  fields
  for ((index = 0; index < ${#list[@]}; index += 3)); do
    folder=${list[index]} name=${list[index + 1]} have=${list[index + 2]}
    file=$folder/$name
    [[ -f $file && ! -L $file ]] || continue
    size=$(stat -c %s -- "$file" 2>/dev/null) || continue
    ((have <= size)) || have=0
    length=$((size - have < most ? size - have : most))
    say "$folder" "$name" "$have" "$length"
    tail -c "+$((have + 1))" -- "$file" | head -c "$length"
  done
}

# The claim stays, for ever: a copy of this submission that is still on its way must find it.
remove() {
  local folder
  field folder
  [[ -d $folder ]] || return
  ln -sT -- sealed "$folder/claim" 2>/dev/null
  chmod -R u+rwX -- "$folder" 2>/dev/null
  said=$(find "$folder" -mindepth 1 -maxdepth 1 ! -name claim -exec rm -rf -- '{}' + 2>&1) || code=74
}

printf '\nopus-%s-begin\n' "$nonce"
"$verb"
finish "$code" "$said"
