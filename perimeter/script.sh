# shellcheck disable=SC2016,SC2317,SC2329
# Text in single quotes is for the shell that it is given to, and functions are called
# through others.
#
# What an instance must not be able to do, tried by root on itself. Every attempt is
# a line: verb, control, what was tried, what was seen, with tabs between them.
# Nothing stays that was not there before, and no secret is printed.
set -u
export LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ID='' AS=''

say() { # VERB WHAT SEEN
  printf '%s\t%s\t%s\t%s\n' "$1" "$ID" "$2" "$(printf '%s' "$3" | tr -s '[:cntrl:]' ' ' | cut -c1-160)"
}
works() { # WHAT COMMAND...: what is allowed, so that a refusal elsewhere means something
  what=$1
  shift
  if seen=$("$@" 2>&1 >/dev/null </dev/null); then say works "$what" ''; else say unclear "$what" "${seen:-it does not work}"; fi
}
must() { # WHAT COMMAND...: what the promise itself says must work
  what=$1
  shift
  if seen=$("$@" 2>&1 >/dev/null </dev/null); then say held "$what" 'done'; else say broken "$what" "${seen:-it does not work}"; fi
}
denied() { # WORDS WHAT COMMAND...: it must fail, for a reason that has the words
  words=$1 what=$2
  shift 2
  if seen=$("$@" 2>&1 >/dev/null </dev/null); then
    say broken "$what" 'it was done'
  elif printf '%s' "$seen" | grep -Eq "$words"; then
    say held "$what" "$seen"
  else
    say unclear "$what" "${seen:-it failed without a word}"
  fi
}
nothing() { # WHAT COMMAND...: it must find nothing
  what=$1
  shift
  if ! seen=$("$@" 2>&1 </dev/null); then
    say unclear "$what" "$seen"
  elif [ -n "$seen" ]; then
    say broken "$what" "$seen"
  else
    say held "$what" 'nothing'
  fi
}
dial() { # HOST PORT, as root or as whom AS says
  $AS timeout 3 bash -c ': <>"/dev/tcp/$0/$1"' "$1" "$2"
}
silent() { # WHAT HOST PORT: nobody may answer, not even that nobody listens
  (
    seen=$(dial "$2" "$3" 2>&1)
    case $?,$seen in
      0,*) say broken "$1" 'it accepts a connection' ;;
      124,*) say held "$1" 'no answer in 3 seconds' ;;
      *'Connection refused'*) say broken "$1" 'the packet arrived; only nobody listens there now' ;;
      *unreachable* | *'No route'* | *'not permitted'*) say held "$1" "$seen" ;;
      *) say unclear "$1" "$seen" ;;
    esac
  ) &
}
