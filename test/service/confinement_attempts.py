"""Tries, as nobody, what a service has no need of; prints JSON: what was tried, and whether it was done."""
import ctypes
import json
import os
import socket
import stat
import sys

state = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWUSER, ADDR_NO_RANDOMIZE, AF_ALG = 0x10000000, 0x0040000, 38
SYS_KEYCTL, KEYCTL_GET_KEYRING_ID, SESSION_KEYRING = 250, 0, -3


def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def write(path):
    with open(path, "w") as file:
        file.write("x")
    os.unlink(path)


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def set_user_id():
    path = f"{state}/set-user-id"
    with open(path, "w"):
        pass
    try:
        os.chmod(path, 0o4755)
        if not os.stat(path).st_mode & stat.S_ISUID:
            raise OSError("it was not set")
    finally:
        os.unlink(path)


attempts = {
    "own state": lambda: write(f"{state}/own"),
    "own temporary folder": lambda: write("/tmp/own"),
    "read what the machine is": lambda: read("/proc/meminfo"),
    "see processes of others": lambda: read("/proc/1/cmdline"),
    "make a file that runs as its owner": set_user_id,
    "lock memory": lambda: call("mlock", ctypes.create_string_buffer(16), ctypes.c_size_t(16)),
    "take another personality": lambda: call("personality", ctypes.c_ulong(ADDR_NO_RANDOMIZE)),
    "make a user namespace": lambda: call("unshare", CLONE_NEWUSER),
    "open a socket to the kernel's ciphers": lambda: socket.socket(AF_ALG, socket.SOCK_SEQPACKET),
    "look for keys in the kernel": lambda: call(
        "syscall", SYS_KEYCTL, KEYCTL_GET_KEYRING_ID, SESSION_KEYRING, 1),
}

done = {}
for name, attempt in attempts.items():
    # Each in a process of its own: what one changes is not there for the next.
    child = os.fork()
    if child == 0:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    done[name] = os.waitpid(child, 0)[1] == 0
print(json.dumps(done))
