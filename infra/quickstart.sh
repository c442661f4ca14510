#!/bin/sh
# `npm run quickstart`: from a fresh checkout to machines that serve. See infra/quickstart/main.ts for the options.
set -eu
cd "$(dirname "$0")/.."
HAWSER_QUICKSTART_STARTED=$(date +%s)
export HAWSER_QUICKSTART_STARTED
sh infra/setup.sh
if [ ! -x node_modules/.bin/node ]; then
  echo "installing the npm packages"
  npm ci --loglevel=error
fi
exec node_modules/.bin/node --disable-warning=ExperimentalWarning infra/quickstart/main.ts "$@"
