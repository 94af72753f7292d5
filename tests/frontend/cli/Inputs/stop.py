# Starts a command whose backend hangs in its claim, sends it SIGTERM once it does, and says how it ended and how many of
# its processes are left.
import os, signal, subprocess, sys, time

os.environ["KILN_WRONG"] = "claim: hang"
process = subprocess.Popen(sys.argv[1:], start_new_session=True)


def others():
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == process.pid and fields[0] != "Z":
                found.append(int(entry))
    return found


deadline = time.time() + 60
while len(others()) < 2 and time.time() < deadline:
    time.sleep(0.05)
time.sleep(0.5)
process.send_signal(signal.SIGTERM)
code = process.wait(60)
time.sleep(0.2)
print(f"ended by signal {-code}, {len(others())} processes left")
