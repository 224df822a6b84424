#!/usr/bin/env bash
# Guess: in a keyring "User" and "user" are two accounts; passwords set by several processes at once are all there later.
# Seen:  the plain-file backend folds the case of user names, not that of services: setting "user" replaces "User"'s
#        password, and both read the new one. It reads, changes and rewrites one file with no lock: of 80 passwords
#        that four processes set at once many are gone, and at times the file can no longer be read at all. `keyring` picks
#        this backend automatically as soon as
#        keyrings.alt is installed and no desktop keyring is there (servers, containers).
# With:  keyring 25.7.0 with keyrings.alt 5.0.2 (PyPI).
# Why:   tokens of two accounts or of two servers that sign in at the same time end up mixed or lost, on exactly the
#        machines without a person in front; one process has to own the store, and keys must differ in more than case.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install keyring==25.7.0 keyrings.alt==5.0.2
unset DBUS_SESSION_BUS_ADDRESS PYTHON_KEYRING_BACKEND XDG_DATA_HOME

judge 60 <<'PY'
import sys

import keyring

from wire import *

backend = type(keyring.get_keyring()).__name__
keyring.set_password("service", "User", "first")
keyring.set_password("service", "user", "second")
keyring.set_password("Service", "user", "third")
read = [keyring.get_password(*account) for account in (("service", "User"), ("service", "user"), ("Service", "user"))]
show(f"backend {backend}; service/User, service/user, Service/user: {read}")
writer = ("import keyring, sys\nfor number in range(20): keyring.set_password('many', f'{sys.argv[1]}-{number}', 'x')")
processes = [subprocess.Popen([sys.executable, "-c", writer, str(number)], stderr=subprocess.DEVNULL) for number in range(4)]
codes = [process.wait(40) for process in processes]
try:
    kept = sum(1 for process in range(4) for number in range(20) if keyring.get_password("many", f"{process}-{number}"))
    show(f"four processes set 20 passwords each, exit statuses {codes}; found afterwards: {kept} of 80")
except Exception as error:
    kept = 0
    show(f"four processes set 20 passwords each, exit statuses {codes}; afterwards no password can be read: {type(error).__name__}")
finish((backend == "PlaintextKeyring", "another backend is picked"), (read == ["second", "second", "third"], "case is kept"),
       (kept < 80, "no password is lost"))
PY
