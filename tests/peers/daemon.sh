# A daemon that numbers the lines of its log and opens it anew at USR1. At TERM it ends and says how many it wrote.
#   daemon.sh NAME LOG REOPENED: its lines begin with NAME, and it makes the file REOPENED each time
name=$1 log=$2 reopened=$3 number=0 ended=
exec 3>>"$log"
trap 'exec 3>>"$log"; : >"$reopened"' USR1
trap 'ended=1' TERM
while [ -z "$ended" ]; do
    number=$((number + 1))
    echo "$name $number" >&3
    sleep 0.002
done
echo "$number"
