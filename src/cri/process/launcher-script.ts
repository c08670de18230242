/**
 * The shell programs of `NamespaceLauncher`, for any POSIX shell. They run on this machine's own tools and only glue
 * them together: every decision is made in TypeScript.
 *
 * The launcher is PID 1 of one PID and mount namespace, and the parent of all containers. So when it ends, for
 * whatever reason, the kernel ends them all, whatever they forked. It reads commands (one per line, made by us) from
 * standard input; its end means that livelet is gone. It answers on standard output, one line per message:
 *   hello overlay|binds reset|ignored   ready; how root directories are made; whether commands can be interrupted
 *   fifos N STATUS          batch N of FIFOs was made (0) or not
 *   net NAME STATUS         the namespaces of NAME were made (0) or not
 *   pid ID PID              the container's first process, in the launcher's numbering
 *   started ID              its command is about to be executed: nothing of ours is left to do
 *   fail ID KIND            it cannot be run; an exit line follows
 *   exit ID CODE            it has ended; 128 + N by signal N
 *   xpid ID PID, xopen ID, xexit ID CODE     likewise for an exec; xopen: it has opened its streams
 */
export const launcherScript = `
# 1: directory of ours; 2: root or user; 3: the shell itself
set -f
umask 022
unset PWD OLDPWD SHLVL
SHELL_PATH=$3
cd "$1" || exit 1
R=$PWD
nl='
'
mount -n -t proc proc /proc || exit 1
files=binds
# The kernel refuses layers that lie one within another: what every root has in common gets a file system of its own.
if [ "$2" = root ] && mount -n -t tmpfs -o mode=755 tmpfs layer && cp -a skeleton/. layer/ &&
  mount -n -t overlay overlay -o lowerdir=layer:/,upperdir=probe/upper,workdir=probe/work probe/root
then files=overlay; umount -n probe/root || exit 1
fi 2>/dev/null

c_fifos() { # batch, first, last
  ( i=$2; names=; while [ "$i" -le "$3" ]; do names="$names fifos/$i"; i=$((i + 1)); done
    mkfifo -m 666 $names; echo "fifos $1 $?" ) &
}

# Makes the namespaces NAME with an address, or without a network of its own when there is no address.
c_net() { # name, address, gateway, host interface
  : > "ns/$1.uts"; : > "ns/$1.ipc"; : > "ns/$1.net"
  if [ -z "$2" ]; then
    ( unshare --uts="ns/$1.uts" --ipc="ns/$1.ipc" true; echo "net $1 $?" ) &
    return
  fi
  ( unshare --uts="ns/$1.uts" --ipc="ns/$1.ipc" --net="ns/$1.net" ip -batch - <<END &&
link set lo up
link add eth0 type veth peer name $4 netns 1
addr add $2/32 dev eth0
link set eth0 up
route add $3 dev eth0
route add default via $3
END
    ip -batch - <<END
link set $4 addrgenmode none
addr add $3/32 dev $4
link set $4 up
route add $2 dev $4
END
    status=$?
    [ "$status" = 0 ] && echo 1 > "/proc/sys/net/ipv4/conf/$4/forwarding"
    echo "net $1 $status" ) &
}

c_unnet() { # name, host interface or nothing
  ( [ -n "$2" ] && ip link del "$2"
    umount "ns/$1.uts"; umount "ns/$1.ipc"; [ -n "$2" ] && umount "ns/$1.net"
    rm -f "ns/$1.uts" "ns/$1.ipc" "ns/$1.net" ) 2>/dev/null &
}

c_start() { # container, how to enter its pod's namespaces (words), FIFOs: out, err, in or nothing; or its terminal
  ( exec $2 unshare --mount --pid --propagation slave "$SHELL_PATH" -c "$OUTER" livelet "$1" "$3" "$4" "$5" ) &
}

# The first child of this shell is PID 1 of the new namespace; the shell stays outside and sees how it ended.
OUTER='set -f; cd "containers/$1" || exit 1
( . ./start.sh ) &
echo "pid $1 $!"
wait $!
echo "exit $1 $?"'

k_tree() { # every descendant of a process, then itself
  for task in /proc/"$1"/task/*; do
    kids=; read -r kids < "$task/children"
    for kid in $kids; do ( k_tree "$kid" ); done
  done
  kill -KILL "$1"
}

c_xkill() { # the shell that waits for an exec: all below it, not itself, so that it can report
  ( set +f
    tries=0
    while [ "$tries" -lt 50 ] && kill -0 "$1"; do
      for task in /proc/"$1"/task/*; do
        kids=; read -r kids < "$task/children"
        for kid in $kids; do k_tree "$kid"; tries=50; done
      done
      tries=$((tries + 1))
      [ "$tries" -gt 50 ] || sleep 0.02 # it has not forked yet
    done ) 2>/dev/null &
}

c_check() { # container, pid: says that it has ended if its own shell could not
  kill -0 "$2" 2>/dev/null || echo "exit $1 137"
}

# A shell without job control ignores SIGINT and SIGQUIT in all that it starts in the background, and so for ever.
signals=ignored
env --default-signal=INT,QUIT true 2>/dev/null && signals=reset
echo "hello $files $signals"
while IFS= read -r line; do
  jobs > /dev/null
  eval "$line"
done
`;

/**
 * Sets `failure` to why the first word cannot be executed (`notFound`, `noSuchFile`, `notExecutable`), empty if it can.
 * `exec` itself would say so only on the container's own standard error.
 */
export const findCommandFunction = `find_command() {
  failure=
  case $1 in
    */*)
      if [ ! -e "$1" ]; then failure=noSuchFile
      elif [ -d "$1" ] || [ ! -x "$1" ]; then failure=notExecutable
      fi ;;
    *)
      failure=notFound
      saved_ifs=$IFS; IFS=:
      for directory in $PATH; do
        if [ -f "$directory/$1" ] && [ -x "$directory/$1" ]; then failure=; break; fi
      done
      IFS=$saved_ifs ;;
  esac
}
`;
