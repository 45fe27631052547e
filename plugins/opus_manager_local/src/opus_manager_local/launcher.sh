# Becomes the wrapper of one job: sets its limits and says who claims the job. Run by
#   OPUS_FOLDER=FOLDER bash -c TEXT opus NUMBER MEMORY FILE_SIZE OPEN_FILES [COMMAND...]
# with sizes in KiB, where 0 sets no limit; COMMAND runs the script. It stays one process, so that
# the claim names it.
((${2:?} == 0)) || ulimit -v "$2" || exit
((${3:?} == 0)) || ulimit -f "$3" || exit
((${4:?} == 0)) || ulimit -n "$4" || exit
IFS= read -r boot </proc/sys/kernel/random/boot_id || exit
IFS= read -r stat <"/proc/$$/stat" || exit
# shellcheck disable=SC2206 # the words behind the command's name are numbers
stat=(${stat##*) })
export OPUS_CLAIMANT=${1:?}/$boot/$$/${stat[19]}
exec "$BASH" "${OPUS_FOLDER:?}/run" "${@:5}"
