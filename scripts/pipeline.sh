#!/usr/bin/env bash
# scripts/pipeline.sh DIRECTORY: one run of a tap and a target, for people who have a shell and cron, and nothing else.
#
# DIRECTORY holds tap.json and target.json (mode 0600), catalog.json if streams are chosen, and `commands` with the two
# programs: TAP=tap-d365 TARGET=target-annex. The state is kept in state.json there, replaced as a whole or not at all.
# Exit code: 0 all written; 75 another run is at work; otherwise the target's, or the tap's if the target was content.
set -euo pipefail
umask 077
cd "${1:?usage: pipeline.sh DIRECTORY}"
. ./commands
: "${TAP:?}" "${TARGET:?}"

# The lock goes with the process, also with one that is killed.
exec 9>lock
flock -n -E 75 9 || exit 75

tap=("$TAP" --config tap.json)
[ ! -s catalog.json ] || tap+=(--catalog catalog.json)
[ ! -s state.json ] || tap+=(--state state.json)

# The target prints a state when all before it is written: the last whole line is true however the run ends.
keep() {
    local line last=
    while IFS= read -r line; do last=$line; done # a line without an end is no state
    [ -n "$last" ] || return 0
    printf '%s\n' "$last" >state.new
    sync state.new
    mv state.new state.json
}
set +e
"${tap[@]}" 2>>run.log | "$TARGET" --config target.json 2>>run.log | keep
codes=("${PIPESTATUS[@]}")
set -e
for code in "${codes[2]}" "${codes[1]}" "${codes[0]}"; do
    [ "$code" -eq 0 ] || exit "$code"
done
