"""Runs a program under what a systemd unit demands, without a systemd that runs.

    confine.py SPEC PROGRAM ARGUMENT...

SPEC is JSON: "unit", the unit's text; "writable", folders of the host by the places where the service
sees them, under /var/lib; "readable", files of the host by their places, under /run; "environment"; and
"unconfined": true for the control, which is the same user in the same places, without the unit's
restrictions. It needs root, and gives up all of it: the program runs as nobody, without a home.

Each directive of the unit that restricts is acted upon as systemd.exec(5) says (and a little more: /dev
has no shared memory, /proc and /sys are read-only), with the system's own means: a mount namespace, capabilities, limits, and a filter by libseccomp, of the sets of calls that
systemd-analyze lists. One that is not known here is an error: the unit must not promise what is not tried.
"""
import ctypes
import json
import os
import resource
import subprocess
import sys

NOBODY = 65534
libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 4096, 16384, 1 << 18
NEW_NAMESPACES = {"NEWNS": 0x20000, "NEWCGROUP": 0x2000000, "NEWUTS": 0x4000000, "NEWIPC": 0x8000000,
                  "NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNET": 0x40000000, "NEWTIME": 0x80}
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1

# Said by systemd to itself, or of no effect on what one process may do.
NOTHING_TO_DO = {
    "Type", "TimeoutStartSec", "WatchdogSec", "ExecStart", "ExecReload", "Restart", "RestartSec",
    "RestartPreventExitStatus", "TimeoutStopSec", "StateDirectory", "StateDirectoryMode", "LoadCredential",
    "DynamicUser", "RemoveIPC", "AmbientCapabilities", "PrivateMounts", "SystemCallErrorNumber",
    # Below the filter: calls of these sets are not among those that it lets through.
    "ProtectClock", "ProtectKernelLogs", "ProtectKernelModules", "RestrictRealtime",
    # Read-only with the rest of the system.
    "ProtectKernelTunables", "ProtectControlGroups",
}


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: None if text is None else text.encode()
    check(libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)),
          f"mount {target}")


def bind(source, target):
    mount(source, target, flags=MS_BIND | MS_REC)


def empty(target, mode="0755"):
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")


def read_unit(text):
    unit = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", "[")):
            unit.setdefault(key, []).append(value)
    return unit


def places(spec, restricted):
    """What the service sees of the file system."""
    libc.unshare(NEW_NAMESPACES["NEWNS"])
    mount(None, "/", flags=MS_REC | MS_PRIVATE)
    keep = {place: path for kind in ("writable", "readable") for place, path in spec[kind].items()}
    store = "/mnt"
    empty(store)
    for number, path in enumerate(keep.values()):
        place = f"{store}/{number}"
        os.mkdir(place) if os.path.isdir(path) else open(place, "w").close()
        bind(path, place)
    empty("/var/lib")
    empty("/run")
    for number, place in enumerate(keep):
        source = f"{store}/{number}"
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.mkdir(place) if os.path.isdir(source) else open(place, "w").close()
        bind(source, place)
    if restricted("ProtectHome") == "yes":
        for place in ("/home", "/root"):
            empty(place, "0000")
    if restricted("PrivateDevices") == "yes":
        devices = "/mnt/devices"
        os.mkdir(devices)
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            open(f"{devices}/{name}", "w").close()
            bind(f"/dev/{name}", f"{devices}/{name}")
        bind(devices, "/dev")
    if restricted("ProtectProc") == "invisible":
        subset = ",subset=pid" if restricted("ProcSubset") == "pid" else ""
        mount("proc", "/proc", "proc", 0, f"hidepid=invisible{subset}")
    if restricted("ProtectSystem") == "strict":
        attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
        check(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, 32), "read-only")
        attributes = (ctypes.c_uint64 * 4)(0, MOUNT_ATTR_RDONLY, 0, 0)
        for place in spec["writable"]:
            check(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, place.encode(), AT_RECURSIVE, attributes, 32),
                  f"writable {place}")
    if restricted("PrivateTmp") == "yes":
        for place in ("/tmp", "/var/tmp"):
            empty(place, "1777")


class OwnUsers:
    """A user namespace of root and nobody, mapped by a child that stays outside."""

    def __init__(self):
        self.waits, self.goes = os.pipe()
        pid = os.getpid()
        self.child = os.fork()
        if self.child == 0:
            os.close(self.goes)
            if os.read(self.waits, 1) == b"":
                os._exit(1)
            for kind in ("uid", "gid"):
                with open(f"/proc/{pid}/{kind}_map", "w") as file:
                    file.write(f"0 0 1\n{NOBODY} {NOBODY} 1\n")
            os._exit(0)

    def enter(self):
        check(libc.unshare(NEW_NAMESPACES["NEWUSER"]), "user namespace")
        os.write(self.goes, b"x")
        if os.waitpid(self.child, 0)[1] != 0:
            raise RuntimeError("the users could not be mapped")
        os.close(self.waits)
        os.close(self.goes)


class Condition(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


ALLOW, EQUAL, MASKED_EQUAL = 0x7FFF0000, 4, 7
errno_action = lambda number: 0x00050000 | number
EPERM, ENOSYS = 1, 38


def call_sets():
    sets, current = {}, None
    listing = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], check=True,
                             capture_output=True, text=True).stdout
    for line in listing.splitlines():
        if line.startswith("@"):
            current = sets.setdefault(line.strip(), [])
        elif line.startswith("#"):
            current = None
        elif current is not None and line.startswith("    ") and not line.lstrip().startswith("#"):
            current.append(line.strip())
    return sets


def calls(filters):
    """Names that SystemCallFilter= leaves: the first line allows, those with ~ take away."""
    sets = call_sets()

    def expand(name):
        return {call for each in sets[name] for call in expand(each)} if name.startswith("@") else {name}

    allowed = set()
    for line in filters:
        names = {call for word in line.lstrip("~").split() for call in expand(word)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    # systemd adds what it needs itself to get as far as the program.
    return allowed | expand("@default") | {"execve"}


def filter_calls(unit):
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(errno_action(EPERM))))

    def rule(action, name, *conditions):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return  # not of this architecture
        array = (Condition * len(conditions))(*conditions)
        result = seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(array), array)
        if result != 0:
            raise OSError(-result, f"filter {name}")

    allowed = calls(unit["SystemCallFilter"])
    if unit.get("RestrictNamespaces") == ["yes"]:
        allowed -= {"clone3", "unshare", "setns"}
        rule(errno_action(ENOSYS), "clone3")
        allowed.discard("clone")
        rule(ALLOW, "clone", Condition(0, MASKED_EQUAL, sum(NEW_NAMESPACES.values()) & ~0x80, 0))
    if "RestrictAddressFamilies" in unit:
        allowed.discard("socket")
        families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
        for name in unit["RestrictAddressFamilies"][0].split():
            rule(ALLOW, "socket", Condition(0, EQUAL, families[name], 0))
    if unit.get("LockPersonality") == ["yes"]:
        allowed.discard("personality")
        rule(ALLOW, "personality", Condition(0, EQUAL, 0, 0))
    if unit.get("RestrictSUIDSGID") == ["yes"]:
        for name, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1), ("mkdirat", 2)):
            allowed.discard(name)
            rule(ALLOW, name, Condition(argument, MASKED_EQUAL, 0o6000, 0))
    if unit.get("ProtectHostname") == ["yes"]:
        allowed -= {"sethostname", "setdomainname"}
    for name in sorted(allowed):
        rule(ALLOW, name)
    if unit["SystemCallArchitectures"] != ["native"]:
        raise ValueError("every architecture but this one is refused here")
    if seccomp.seccomp_load(context) != 0:
        raise RuntimeError("the filter was not loaded")


def main():
    spec = json.loads(sys.argv[1])
    command = sys.argv[2:]
    unit = read_unit(spec["unit"])
    service = unit if not spec.get("unconfined") else {}
    acted = {"UMask", "LimitCORE", "LimitNOFILE", "NoNewPrivileges", "CapabilityBoundingSet",
             "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectProc", "ProcSubset",
             "PrivateUsers", "ProtectHostname", "RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality",
             "RestrictAddressFamilies", "SystemCallArchitectures", "SystemCallFilter"}
    sections = ("Description", "Wants", "After", "StartLimitIntervalSec", "WantedBy")
    unknown = set(unit) - acted - NOTHING_TO_DO - set(sections)
    if unknown:
        raise ValueError(f"not acted upon: {', '.join(sorted(unknown))}")
    restricted = lambda key: service.get(key, [None])[-1]

    users = OwnUsers() if restricted("PrivateUsers") == "yes" else None
    places(spec, restricted)
    os.chdir("/")
    if restricted("LimitCORE") is not None:
        limit = int(restricted("LimitCORE"))
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
    if restricted("LimitNOFILE") is not None:
        limit = min(int(restricted("LimitNOFILE")), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if restricted("UMask") is not None:
        os.umask(int(restricted("UMask"), 8))
    os.setgroups([])
    if users is not None:
        users.enter()
    if restricted("CapabilityBoundingSet") == "":
        for capability in range(64):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                break
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    if restricted("NoNewPrivileges") == "yes":
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    if service:
        filter_calls(service)
    os.execve(command[0], command, spec["environment"])


main()
