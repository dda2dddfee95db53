"""Tries the network from where it runs, in a sandbox or on the host, and tells what it met.

The event is an expression of the functions below. As a program it takes the expression as its
argument and prints the answer.
"""

import array
import errno
import json
import os
import select
import socket
import sys
import time
import urllib.request

PATIENCE = 1.0
GATE = ("203.0.113.9", 9000)  # nat_world.h
PORT = 7000
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def name_of(number):
    return errno.errorcode.get(number, str(number))


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def unix_name(address):
    return "\0at " + address


def answer_from(s):
    failure = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failure:
        return name_of(failure)
    try:
        return s.recv(100).decode() or "closed"
    except OSError as error:
        return name_of(error.errno)


def probe(*targets):
    """What came of each "KIND ADDRESS PORT", all tried at once: the server's words, the error of a
    refusal, "connected" or "timeout"."""
    found, waiting, ready = {}, {}, select.poll()
    for target in targets:
        kind, address, port = target.split()
        s = socket.socket(family_of(address), KINDS[kind])
        s.setblocking(False)
        failure = s.connect_ex((address, int(port)))
        if failure in (0, errno.EINPROGRESS):
            if kind == "udp":
                s.send(b"?")
            waiting[s.fileno()] = (target, s)
            ready.register(s, select.POLLIN)
        else:
            found[target] = name_of(failure)
    deadline = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < deadline:
        for fd, _ in ready.poll(100):
            target, s = waiting.pop(fd)
            ready.unregister(fd)
            found[target] = answer_from(s)
            s.close()
    for target, s in waiting.values():
        try:
            s.getpeername()
            found[target] = "timeout" if target.startswith("udp") else "connected"
        except OSError:
            found[target] = "timeout"
        s.close()
    return found


def refusal(address):
    with socket.socket(family_of(address)) as s:
        s.settimeout(5)
        return name_of(s.connect_ex((address, 80)))


def open_ports(address, ports):
    """Those TCP ports where a server listens."""
    found = []
    for begin in range(0, len(ports), 200):
        waiting, ready = {}, select.poll()
        for port in ports[begin : begin + 200]:
            s = socket.socket(family_of(address))
            s.setblocking(False)
            s.connect_ex((address, port))
            ready.register(s, select.POLLOUT)
            waiting[s.fileno()] = (port, s)
        deadline = time.monotonic() + 0.1
        while waiting and time.monotonic() < deadline:
            for fd, _ in ready.poll(20):
                port, s = waiting.pop(fd)
                ready.unregister(fd)
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(port)
                s.close()
        for _, s in waiting.values():
            s.close()
    return sorted(found)


def raw_sockets():
    """What became of each kind of socket that could forge packets or see those of others."""
    attempts = {
        "icmp": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "icmpv6": (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
        "ip": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
        "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0),
        "route": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
        "diag": (socket.AF_NETLINK, socket.SOCK_RAW, 4),
        "netfilter": (socket.AF_NETLINK, socket.SOCK_RAW, 12),
    }
    found = {}
    for name, how in attempts.items():
        try:
            socket.socket(*how).close()
            found[name] = "made"
        except OSError as error:
            found[name] = name_of(error.errno)
    return found


def own_addresses(both):
    found = []
    for target in (GATE[0], "2001:db8:2::9") if both else (GATE[0],):
        with socket.socket(family_of(target), socket.SOCK_DGRAM) as s:
            s.connect((target, 9))
            found.append(s.getsockname()[0])
    return found


def ask_gate(*words):
    """Says the words at the gate and waits there for an answer."""
    with socket.create_connection(GATE, timeout=20) as s:
        s.sendall((" ".join(words) + "\n").encode())
        return s.makefile().readline().split()


def reach_unix(address):
    with socket.socket(socket.AF_UNIX) as s:
        failure = s.connect_ex(unix_name(address))
        return name_of(failure) if failure else "connected"


def meet(both=True):
    """Listens at every address, of both families or of IPv4, says at the gate where, tries the
    addresses that are answered, and stays until all have done so."""
    own = own_addresses(both)
    stream = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    datagram = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagram.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    datagram.bind(("::", PORT))
    local = socket.socket(socket.AF_UNIX)
    local.bind(unix_name(own[0]))
    local.listen()
    servers = (stream, datagram, local)

    def visits():
        """How many have come to each, since the last time."""
        count = [0, 0, 0]
        for i, server in enumerate(servers):
            server.setblocking(False)
            try:
                while True:
                    server.recv(100) if server is datagram else server.accept()[0].close()
                    count[i] += 1
            except BlockingIOError:
                pass
        return count

    def attempt(addresses):
        found = [probe(*(f"{kind} {a} {PORT}" for a in addresses for kind in KINDS))]
        return found + [reach_unix(addresses[0])]

    attempt(own)
    control = visits()
    others = attempt(ask_gate(*own))
    ask_gate("done")
    return {"own": own, "control": control, "others": others, "visits": visits()}


def addresses_of(name):
    try:
        found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        names = {getattr(socket, n): n for n in dir(socket) if n.startswith("EAI_")}
        return [names.get(error.errno, str(error.errno))]
    return sorted({place[0] for *_, place in found})


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def timed(function, *arguments):
    begin = time.monotonic()
    result = function(*arguments)
    return [result, time.monotonic() - begin]


def contents(path):
    with open(path) as file:
        return file.read()


def namespace():
    """What names this network namespace and, unlike its inode, never another: SO_NETNS_COOKIE."""
    with socket.socket(socket.AF_UNIX) as s:
        return str(int.from_bytes(s.getsockopt(socket.SOL_SOCKET, 71, 8), "little"))


def traces():
    """What shows that somebody has used this network namespace."""
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        found += [table + " " + line.split()[1] for line in lines_of(table)[1:]]
    found += ["unix " + line.split()[-1] for line in lines_of("unix")[1:]]
    names = None
    for line in lines_of("snmp"):
        protocol, *fields = line.split()
        if names is None:
            names = fields
            continue
        for name, value in zip(names, fields):
            if name in ("ActiveOpens", "OutDatagrams", "OutRequests", "InDatagrams") and int(value):
                found.append(protocol + name)
        names = None
    return found


def lines_of(table):
    return contents("/proc/self/net/" + table).splitlines()


KEPT = []


def leave_open():
    for address in ("203.0.113.9", "2001:db8:2::9"):
        KEPT.append(socket.create_connection((address, 80), timeout=5))


def leave_loopback():
    server = socket.create_server(("127.0.0.1", PORT))
    KEPT.extend([server, socket.create_connection(("127.0.0.1", PORT))])


def leave_time_wait():
    """The side that closes first remembers the connection for a minute."""
    with socket.create_server(("127.0.0.1", PORT)) as server:
        client = socket.create_connection(("127.0.0.1", PORT))
        peer = server.accept()[0]
        client.close()
        peer.close()


def leave_time_wait_outside():
    """The HTTP server waits for a request and closes when there is none."""
    client = socket.create_connection((GATE[0], 8000), timeout=5)
    client.shutdown(socket.SHUT_WR)
    client.recv(1)
    client.close()


def leave_abstract():
    """A listener that outlives the call, until the kernel's collector comes by: held by sockets
    that hold each other."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(unix_name("leftover"))
    server.listen()
    a, b = socket.socketpair()
    fds = array.array("i", [a.fileno(), b.fileno(), server.fileno()])
    for end in (a, b):
        end.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    KEPT.append(server)


def leave_datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"?", (GATE[0], 80))


def leave_child():
    ready, tell = os.pipe()
    if os.fork() == 0:
        leave_open()
        os.write(tell, b"x")
        time.sleep(60)
    os.read(ready, 1)


def after(leave):
    """The namespace, and the traces in it, when this has been done."""
    leave()
    return [namespace(), traces()]


def handler(event):
    return eval(event)


if __name__ == "__main__":
    print(json.dumps(eval(sys.argv[1]), separators=(",", ":")))
