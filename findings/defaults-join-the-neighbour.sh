#!/usr/bin/env bash
# Guess: two programs with an embedded Hazelcast, or a zenoh session, each in a checkout of its own and with the defaults, know
#        nothing of each other; Hazelcast's second one fails or warns, since port 5701 is taken.
# Seen:  they find each other by multicast on the first network interface. The second Hazelcast takes port 5702 and joins the
#        first one's cluster "dev": it reads the first one's map, and what it writes is read there. A zenoh subscriber hears
#        what the other program puts.
# With:  hazelcast 5.5.0 (Maven), Java 17; eclipse-zenoh 1.10.2 (PyPI); on a machine with a network interface.
# Why:   of two worktrees, or two people on one network, each changes the other's sessions and caches. Each needs a cluster name
#        of its own, or an explicit list of members.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need mvn javac java
listens 5701 && unable "something listens on port 5701"
pip_install eclipse-zenoh==1.10.2
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
  <dependencies><dependency><groupId>com.hazelcast</groupId><artifactId>hazelcast</artifactId><version>5.5.0</version></dependency></dependencies>
</project>
XML
HOME="$USER_HOME" timeout 300 mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars >mvn.log 2>&1 || unable "mvn: $(tail -1 mvn.log)"
cat >Shop.java <<'JAVA'
import com.hazelcast.core.Hazelcast;
import java.util.Scanner;

public class Shop {
    public static void main(String[] names) {
        var instance = Hazelcast.newHazelcastInstance();
        var users = instance.<String, String>getMap("users");
        System.out.println(instance.getCluster().getMembers().size() + " " + instance.getCluster().getLocalMember().getAddress().getPort()
            + " " + users.get("admin"));
        users.put("admin", names[0]);
        for (var input = new Scanner(System.in); input.hasNextLine(); input.nextLine()) System.out.println(users.get("admin"));
        System.exit(0);
    }
}
JAVA
javac -cp 'jars/*' Shop.java || unable "javac"
cat >listener.py <<'PY'
import sys

import zenoh

heard = []
session = zenoh.open(zenoh.Config())
subscriber = session.declare_subscriber("shop/**", lambda sample: heard.append(sample.payload.to_string()))
print("listens", flush=True)
sys.stdin.readline()
print(heard, flush=True)
session.close()
PY
PYTHON=python judge 150 <<'PY'
import socket
import sys

import zenoh

from wire import *

if all(name == "lo" for _, name in socket.if_nameindex()):
    raise SystemExit(2)


def start(*command, cwd):
    os.makedirs(cwd, exist_ok=True)
    return subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def ask(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


java = ["java", "-Xmx200m", "-cp", f"{os.getcwd()}/jars/*:{os.getcwd()}", "Shop"]
one = start(*java, "of one", cwd="one")
first = one.stdout.readline().strip()
two = start(*java, "of two", cwd="two")
second = two.stdout.readline().strip()
for _ in range(100):
    changed = ask(one)
    if changed == "of two":
        break
    time.sleep(0.1)
show(f"Hazelcast, members, port and admin when it starts: in one '{first}', in two '{second}'; admin in one afterwards: '{changed}'")
for process in (one, two):
    process.kill()
    process.wait()

listener = start(sys.executable, f"{os.getcwd()}/listener.py", cwd="three")
listener.stdout.readline()
with zenoh.open(zenoh.Config()) as session:
    for number in range(5):
        session.put("shop/order", str(number))
        time.sleep(1)
    heard = ask(listener)
show(f"zenoh, heard by the other program: {heard}")
finish((first == "1 5701 null", f"first: {first}"), (second == "2 5702 of one", f"second: {second}"), (changed == "of two", f"changed: {changed}"),
       ("'4'" in heard, f"zenoh: {heard}"))
PY
