#!/usr/bin/env bash
# What takes hours: runs everything even after something has failed, and ends with a list of what did.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${SEEDS:-100000}
bin=.venv/bin
model=$PWD/tests/model/coherence.pml
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=()

step() {
    local name=$1 began=$SECONDS
    shift
    echo "--- $name: $*"
    if "$@" </dev/null; then
        echo "--- $name: good after $((SECONDS - began)) s"
    else
        failed+=("$name")
        echo "--- $name: FAILED after $((SECONDS - began)) s"
    fi
}

# As tests/model/test_promela.py does it, with one operation more: 6,526,088 states, 1.3 GB. Joined by &&, as `set -e` does
# not count within a condition.
spin_at_large() (
    cd "$scratch" &&
        spin -a -DNODES=3 -DOPERATIONS=2 -DREPEATS=1 "$model" &&
        gcc -O2 -DSAFETY -DCOLLAPSE -DSEPQS -DVECTORSZ=1024 -o pan pan.c &&
        ./pan -m2000000 -w26 | tee told &&
        grep -q 'errors: 0$' told &&
        ! grep -qE 'Search not completed|max search depth too small|out of memory|error: ' told
)

step model make model
step explore make explore
step spin spin_at_large
step simulator make sim "SEEDS=$seeds"
step mutants make mutants
step litmus "$bin/dsm" litmus --all
step stress "$bin/dsm" stress --seconds 1200
step "torn pages" "$bin/dsm" stress --torn --seconds 1800 --transfers-min 1000000

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'failed:%s\n' "$(printf ' %s;' "${failed[@]}")"
    exit 1
fi
echo "all steps are good"
