#!/bin/sh
# A browser for the browser tests: installed where we may, otherwise those tests say why they are skipped.
set -u
for name in "${AGEGENDER_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 && exit 0
done
if ! command -v apt-get >/dev/null 2>&1; then
    echo "no Chromium and no apt-get: the browser tests will be skipped"
    exit 0
fi
if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo"; else
    echo "no Chromium and no right to install it: the browser tests will be skipped (sudo apt-get install chromium)"
    exit 0
fi
echo "installing Chromium for the browser tests"
export DEBIAN_FRONTEND=noninteractive
{ $as_root apt-get update -q && $as_root apt-get install -q -y --no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1 ||
    echo "Chromium could not be installed: the browser tests will be skipped"
exit 0
