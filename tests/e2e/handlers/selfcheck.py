"""What a sandbox looks like from inside. Reports facts; the test knows what they should be."""

import ctypes
import errno
import json
import os
import socket
import stat

LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWUSER = 0x10000000
SYSCALLS = {"unshare": 272, "setns": 308, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425,
            "perf_event_open": 298, "keyctl": 250, "ptrace": 101, "mount": 165, "mknod": 133,
            "open_tree": 428, "kexec_load": 246, "init_module": 175}  # fmt: skip


def status():
    with open("/proc/self/status") as text:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in text)}


def attempt(function, *arguments):
    """The errno's name of a refusal, "ok" when it worked."""
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    except Exception as error:
        return type(error).__name__
    return "ok"


def raw(name, *arguments):
    ctypes.set_errno(0)
    result = LIBC.syscall(SYSCALLS[name], *[ctypes.c_long(a) for a in arguments])
    return "ok" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def in_child(function, *arguments):
    """Runs what might change or kill this process elsewhere; "killed" when it died of it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(function(*arguments)).encode())
        os._exit(0)
    os.close(writer)
    text = os.read(reader, 100).decode()
    os.waitpid(child, 0)
    return text or "killed"


def connect(address, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(2)
        s.connect(tuple(address))


def writable_places():
    """Folders a file can be made in; three levels deep, and every mount point."""
    found = []
    mounts = [line.split()[4] for line in read("/proc/self/mountinfo").splitlines()]
    for top in ["/"] + mounts:
        for folder, folders, _ in os.walk(top):
            if folder.count("/") >= top.count("/") + 3 or folder.startswith("/proc"):
                folders[:] = []
            name = os.path.join(folder, ".probe")
            try:
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
                os.unlink(name)
                found.append(folder)
            except OSError:
                pass
    return sorted(set(found))


def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass
    return found


def read(path):
    try:
        with open(path, errors="replace") as text:
            return text.read()
    except OSError as error:
        return errno.errorcode[error.errno]


def handler(event):
    return {
        "status": status(),
        "uid": os.getresuid(),
        "gid": os.getresgid(),
        "groups": os.getgroups(),
        "cwd": os.getcwd(),
        "namespaces": {name: os.readlink("/proc/self/ns/" + name)
                       for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")},
        "root": os.listdir("/"),
        "mountinfo": read("/proc/self/mountinfo"),
        "processes": sorted(int(n) for n in os.listdir("/proc") if n.isdigit()),
        "environ": dict(os.environ),
        "environ_file": read("/proc/self/environ"),
        "descriptors": descriptors(),
        "interfaces": [line.split(":")[0].strip() for line in read("/proc/net/dev").splitlines()[2:]],
        "routes": read("/proc/net/route").splitlines()[1:],
        "hostname": socket.gethostname(),
        "writable": writable_places(),
        "attempts": {
            "connect_host": attempt(connect, event["listener"]),
            "connect_internet": attempt(connect, ["192.0.2.1", 53]),
            "raw_socket": attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1),
            "packet_socket": attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
            "vsock": attempt(socket.socket, 40, socket.SOCK_STREAM, 0),
            "setuid_0": attempt(os.setuid, 0),
            "write_task": attempt(open, "/var/task/new", "w"),
            "change_handler": attempt(open, "/var/task/handler.py", "a"),
            "write_library": attempt(open, json.__file__, "a"),
            "write_etc": attempt(open, "/etc/passwd", "a"),
            "kernel_setting": attempt(open, "/proc/sys/kernel/hostname", "w"),
            "sysrq": attempt(open, "/proc/sysrq-trigger", "w"),
            "shadow": attempt(open, "/etc/shadow"),
            "chroot": attempt(os.chroot, "/tmp"),
            "sethostname": attempt(socket.sethostname, "x"),
            "nice_up": attempt(os.nice, -5),
            "device_node": attempt(os.mknod, "/tmp/device", 0o600 | stat.S_IFBLK, os.makedev(8, 0)),
            "unshare_user": in_child(raw, "unshare", CLONE_NEWUSER),
            "setns": in_child(raw, "setns", 0, 0),
            "bpf": in_child(raw, "bpf", 0, 0, 0),
            "userfaultfd": in_child(raw, "userfaultfd", 0),
            "io_uring_setup": in_child(raw, "io_uring_setup", 1, 0),
            "perf_event_open": in_child(raw, "perf_event_open", 0, 0, -1, -1, 0),
            "keyctl": in_child(raw, "keyctl", 0, -3, 1),
            "ptrace": in_child(raw, "ptrace", 0, 0, 0, 0),
            "mount": in_child(raw, "mount", 0, 0, 0, 0, 0),
            "open_tree": in_child(raw, "open_tree", -100, 0, 1),
            "kexec_load": in_child(raw, "kexec_load", 0, 0, 0, 0),
            "init_module": in_child(raw, "init_module", 0, 0, 0),
        },
    }
