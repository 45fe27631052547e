#!/bin/bash
# Runs the script of one OPUS job, once in the life of the job, whatever was submitted how often:
#   bash run [COMMAND...]    where COMMAND, a sandbox say, runs what follows it
#
# The same bytes lie in every job's folder; opus_core/wrapper.py says what they read, and OPUS's
# docs say why the links `claim`, `started` and `exit` are made in this order. Needs bash 4.2,
# coreutils and /proc; and curl, if the server wants to hear of it at an https address.

umask 007

leave() { # STATUS SENTENCE: end without having run anything
  printf 'opus: %s: %s\n' "$folder" "$2" >&2
  exit "$1"
}

set_now() { # set $now [s since 1970]
  now=$EPOCHREALTIME
  [[ $now ]] || printf -v now '%(%s)T' -1 # bash before 5.0
}

set_stat() { # PID: set $stat to /proc/PID/stat from the state on; empty if there is none
  local line=
  { IFS= read -r -d '' line <"/proc/$1/stat"; } 2>/dev/null
  # shellcheck disable=SC2206 # the words behind the command's name are numbers
  stat=(${line##*) })
}

group_lives() { # whether the script's process group has a process that is not a zombie
  local entry stat
  kill -0 -- "-$script" 2>/dev/null || return
  for entry in /proc/[0-9]*; do
    set_stat "${entry#/proc/}"
    [[ ${stat[2]} == "$script" && ${stat[0]} != [ZX] ]] && return
  done
  return 1
}

# The kernel counts in each cgroup what it has killed for want of memory. Only where we are alone in
# one to begin with, as under SLURM, is that what the script has started, and nobody else's.
find_cgroup() { # MOUNT: set $counts to the file that has the count; empty if there is none
  local names path processes=''
  counts=''
  while IFS=: read -r _ names path; do
    case ,$names, in
      ,,) [[ $counts ]] || counts=$1$path/memory.events ;;
      *,memory,*) counts=$1/memory$path/memory.oom_control ;;
    esac
  done </proc/self/cgroup
  IFS= read -r -d '' processes <"${counts%/*}/cgroup.procs"
  [[ $processes == "$$"$'\n' ]] || counts=''
} 2>/dev/null

set_killed() { # set $killed to how many it has killed so far; empty if nobody counts
  local word number
  killed=''
  [[ $counts ]] || return
  while read -r word number; do
    [[ $word == oom_kill ]] && killed=$number
  done <"$counts"
} 2>/dev/null

# A script can take even our own permissions away; FLAGS says which have to be there again.
give_back() { # FLAGS NAME
  [[ -L $2 || ! -e $2 || -r $2 && -w $2 && ($1 != *x* || -x $2) ]] || chmod "$1" -- "$2"
}

# Make a link in one atomic step. Whoever made it has won, so only what stands afterwards counts:
# ln fails on its own link if the answer of an NFS server was lost.
make_link() { # TARGET NAME: set $standing to the target that NAME has now
  standing=$1
  ln -sT -- "$1" "$2" 2>/dev/null || standing=$(readlink -- "$2")
}

# What a power cut must not take back: the links before the script does anything, or it could be
# started again; and the results before `exit` says that all is well. It is tried and no more:
# coreutils before 8.24 write out whatever the machine has, some file systems refuse.
make_durable() { # FILE_OR_FOLDER...
  sync -- "$@" 2>/dev/null
}

# The record takes the place of blanks that were written before the script began, so that a disk
# which is full by now cannot lose it. The draft has been open since then: a script may have put a
# link in its place, and we may write where the script may not. It is closed, and so with the server
# of an NFS, before it gets its name. The first `exit` stands: ln does not replace.
make_exit() { # CODE: how the script ended, empty if it never began
  local signal=
  ((${1:-0} > 128)) && kill -l "$(($1 - 128))" >/dev/null 2>&1 && signal=$(($1 - 128))
  set_now
  printf 'claimant=%s\ncode=%s\nsignal=%s\nreason=%s\nstarted=%s\nended=%s\noom=%s\nend=exit\n' \
    "$OPUS_CLAIMANT" "$1" "$signal" "$reason" "$started" "$now" "$oom" >&"$record"
  exec {record}>&-
  ln -T -- "$draft" exit 2>/dev/null
}

# A later command in the background, in a process group of its own so that it can be called off.
# It ignores TERM, which may be sent to all processes of the job, and does nothing if the wrapper
# has been killed by then: its process id may be another's.
after() { # SECONDS COMMAND...
  set -m
  (
    trap '' TERM INT HUP
    sleep "$1" && set_stat "$$" && [[ ${stat[19]} == "$birth" ]] && "${@:2}"
  ) </dev/null >/dev/null 2>&1 &
  disown
  set +m
}

stop() { # REASON: TERM to the script's process group, KILL after the grace; the first reason stands
  interrupted=1
  [[ $reason ]] || reason=$1
  [[ $script ]] || return
  kill -TERM -- "-$script" 2>/dev/null
  [[ $killer ]] && return
  after "$grace" kill -KILL -- "-$script"
  killer=$!
}

read_task() { # set $duration, $outputs and, by name, $OPUS_VALUES
  local entry
  while IFS= read -r -d '' entry; do
    case $entry in
      duration=*) [[ $entry =~ =([1-9][0-9]{0,9})$ ]] && duration=${BASH_REMATCH[1]} ;;
      output=*) outputs+=("${entry#*=}") ;;
      variable=*) add_value "${entry#*=}" '' ;;
      path=*) add_value "${entry#*=}" "$folder/" ;;
    esac
  done <task
}

add_value() { # NAME=VALUE PREFIX: values of one name are joined by newlines
  local name=${1%%=*}
  [[ $name == *[![:alnum:]_]* ]] && return # bash would evaluate the index of an array
  OPUS_VALUES[$name]=${OPUS_VALUES[$name]+${OPUS_VALUES[$name]}$'\n'}$2${1#*=}
}

# Becomes the script. From the first exported value on only names that begin with OPUS_, which no
# parameter has, and positional parameters can be relied on.
become_script() { # COMMAND...
  exec {record}>&-
  cd work || exit 127
  unset -v OPUS_CLAIMANT OPUS_FOLDER OPUS_GRACE
  export OPUS_PROGRESS="$folder/progress" OPUS_PARAMETERS="$folder/parameters.json"
  # Bash changes the values of these until they are unset.
  unset -v files outputs command stat via # arrays of ours, whose names a parameter may have
  unset -v RANDOM SRANDOM SECONDS LINENO HISTCMD EPOCHSECONDS EPOCHREALTIME GROUPS FUNCNAME DIRSTACK
  for OPUS_NAME in "${!OPUS_VALUES[@]}"; do
    export "$OPUS_NAME=${OPUS_VALUES[$OPUS_NAME]}"
  done
  exec -- "$@"
}

post_http() { # FORM: without curl, which costs more than a short job
  [[ $event_url =~ ^http://((\[([0-9A-Fa-f:.]+)\]|([^]/:@[]+))(:([0-9]+))?)(/.*)?$ ]] || return
  local authority=${BASH_REMATCH[1]} host=${BASH_REMATCH[3]}${BASH_REMATCH[4]}
  local port=${BASH_REMATCH[6]:-80} path=${BASH_REMATCH[7]:-/} connection
  exec {connection}<>"/dev/tcp/$host/$port" || return
  printf 'POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n%s: %d\r\n\r\n%s' "$path" \
    "$authority" 'Content-Type: application/x-www-form-urlencoded' 'Content-Length' "${#1}" "$1" \
    >&"$connection"
  IFS= read -r -u "$connection"
}

post() { # PHASE: tell the server, which looks for itself; for 3 s at most, whatever comes of it
  local form="$event_form&phase=$1" sender status
  if [[ $event_url == https://* ]]; then
    printf '%s' "$form" | curl -q --silent --output /dev/null --max-time 3 --data @- -- "$event_url"
    return
  fi
  {
    IFS= read -r sender
    IFS= read -r -t 3
    status=$?
    ((status > 128)) && kill -KILL "$sender"
  } < <(
    printf '%s\n' "$BASHPID"
    post_http "$form"
  )
}

post_later() { # PHASE
  [[ $event_url ]] || return
  post "$1" </dev/null >/dev/null 2>&1 &
}

main() {
  local reason='' script='' killer='' timer='' interrupted started='' now stat birth standing
  local folder=$OPUS_FOLDER grace=$OPUS_GRACE duration=0 event_url='' event_form='' boot entry code
  local draft record self first command via=("$@") outputs=() files=() counts killed before=''
  local oom=''
  declare -gA OPUS_VALUES=()
  trap 'stop term' TERM INT HUP
  trap 'stop limit' ALRM

  # No folder, no run: it is never created here.
  [[ $folder ]] || folder=${BASH_SOURCE[0]%/*}
  [[ $folder == "${BASH_SOURCE[0]}" ]] && folder=.
  CDPATH='' cd -P -- "$folder" || leave 1 'there is no such folder'
  folder=$PWD
  [[ -f script && -f task ]] || leave 1 'this is not the folder of a job'
  [[ $OPUS_CLAIMANT && $OPUS_CLAIMANT != *[![:graph:]]* && $OPUS_CLAIMANT != sealed ]] ||
    leave 1 'OPUS_CLAIMANT has to name this submission'
  [[ $grace =~ ^(0|[1-9][0-9]{0,5})$ ]] || grace=10

  make_link "$OPUS_CLAIMANT" claim
  [[ $standing == "$OPUS_CLAIMANT" ]] || leave 0 "left, since the claim is ${standing:-not to be had}"

  IFS= read -r boot </proc/sys/kernel/random/boot_id
  set_stat "$$"
  birth=${stat[19]} # [clock ticks since boot]
  self=$HOSTNAME/$boot/$$/$birth
  draft=.exit-$HOSTNAME-$$
  printf '%2047s\n' '' >"$draft" && exec {record}<>"$draft" ||
    leave 1 'no space for the record of its end'
  if [[ $reason ]]; then
    make_exit ''
    leave 1 'told to stop before the script began'
  fi

  # All that is needed is read before the script can touch it.
  read_task
  [[ -f event ]] && { IFS= read -r -d '' event_url && IFS= read -r -d '' event_form; } <event
  # Not left to the kernel: job folders often lie where nothing may be executed.
  command=("$BASH" "$folder/script")
  IFS= read -r first <script
  if [[ $first =~ ^'#!'[[:blank:]]*([^[:blank:]]+)[[:blank:]]*(.*[^[:blank:]])?[[:blank:]]*$ ]]; then
    command=("${BASH_REMATCH[1]}" ${BASH_REMATCH[2]:+"${BASH_REMATCH[2]}"} "$folder/script")
  fi

  make_link "$self" started
  if [[ $standing != "$self" ]]; then
    [[ $standing == sealed || ! $standing ]] && leave 0 'left, since the job is sealed'
    reason=requeued
    make_exit ''
    leave 0 "left, since the script was started by $standing"
  fi
  [[ $reason ]] || make_durable .
  find_cgroup /sys/fs/cgroup
  set_killed
  before=$killed
  set_now
  started=$now
  if [[ ! $reason ]]; then
    set -m
    become_script "${via[@]}" "${command[@]}" </dev/null >stdout 2>stderr &
    script=$!
    set +m
    [[ $reason ]] && stop "$reason" # came before $script was known
    if ((duration)); then
      after "$duration" kill -ALRM "$$"
      timer=$!
    fi
    post_later EXECUTING
    # A signal to the wrapper ends `wait`, but not the script. From then on it is only looked at: if
    # it ends at that very moment, bash may forget that it has (5.2 does), and would wait for ever.
    interrupted=
    wait "$script"
    code=$?
    if [[ $interrupted ]]; then
      while kill -0 "$script" 2>/dev/null; do sleep 0.05; done
    elif ((code)); then
      # Whoever cancels a job on a cluster signals all its processes, and a script that ends by that
      # may be faster than the signal that is still to come here.
      sleep 0.2
      interrupted=
    fi
    trap '' TERM INT HUP ALRM # it ended by itself, and keeps its end
    if [[ $interrupted ]]; then
      code=143
      [[ $'\n'$(jobs -rp)$'\n' == *$'\n'$script$'\n'* ]] || { wait "$script"; code=$?; }
    fi
    [[ $timer && $reason != limit ]] && kill -KILL -- "-$timer" 2>/dev/null
    # What a stopped script has begun has the rest of the grace; what one that has ended left
    # behind has none, since nothing may write to the results any more.
    SECONDS=0
    while [[ $reason ]] && ((SECONDS <= grace)) && group_lives; do sleep 0.1; done
    kill -KILL -- "-$script" 2>/dev/null
    [[ $killer ]] && kill -KILL -- "-$killer" 2>/dev/null
  fi

  set_killed
  [[ $killed && $killed != "$before" ]] && oom=1

  give_back u+rwx "$folder"
  for entry in work results; do give_back u+rwx "$entry"; done
  for entry in stdout stderr progress; do give_back u+rw "$entry"; done
  # Regular files only, whatever the end was. A rename takes a link that comes too late for this
  # look as it is, and the server opens no links.
  if [[ -d work && ! -L work && -d results && ! -L results ]]; then
    for entry in "${outputs[@]}"; do
      [[ $entry != */* && -f work/$entry && ! -L work/$entry ]] || continue
      give_back u+rw "work/$entry"
      files+=("work/$entry")
    done
    if ((${#files[@]})) && mv -f -t results -- "${files[@]}" && [[ $code == 0 && ! $reason ]]; then
      make_durable "${files[@]/#work/results}" results
    fi
  fi
  make_exit "$code"

  # Waited for, since clusters kill what outlives the wrapper.
  if [[ $event_url ]]; then
    case $reason/$code in
      /0) post_later COMPLETED ;;
      /*) post_later ERROR ;;
      *) post_later ABORTED ;;
    esac
    wait "$!"
  fi
  exit "${code:-1}"
}

main "$@" # parsed to its end before it begins, whatever happens to this file
