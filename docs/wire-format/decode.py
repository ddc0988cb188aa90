#!/usr/bin/env python3
"""Reads messages of the wire format and prints what they say, as JSON.

Written from wire-format.md alone, in nothing but Python's standard library. Meant to be read beside
that page, and to check by other means what the messages of a node say; not meant to be fast.

    decode.py FILE...          hexadecimal (name ends in .hex) or raw bytes; one line of JSON for each
    decode.py -                one message in hexadecimal in each line of the standard input
    decode.py --hash CLUSTER   the hash of a cluster id

The exit status is 1 if anything is refused. Python 3.9 or later.
"""

import json
import sys

MAGIC = b"\xc8\x17"
ENVELOPE_LEN = 31
VERSIONS = (1, 2)
COMPRESSED = 1
MAX_VERSION = 1 << 62
MAX_ID_LEN = 255
MAX_RATIO = 16
MAX_DECOMPRESSED_LEN = 16 << 20
KINDS = ["unsupported", "syn", "syn_ack", "ack", "push", "push_ack", "refused"]
KINDS_2 = KINDS + ["column_syn", "column_syn_ack", "inquiry", "news"]
REASONS = ["generation_from_the_future", "too_many_nodes"]


class Refused(Exception):
    """The bytes are no message. `args` are the class of the error and the reason."""


def malformed(reason):
    return Refused("malformed", reason)


# --- Numbers, strings, lists ----------------------------------------------------------------------


class Reader:
    """What is left of a body."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            raise Refused("truncated", "the message is cut")
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def byte(self):
        return self.take(1)[0]

    def varint(self, bits):
        """7 bits in each byte, the lowest first, within the range and the length of the type."""
        value = 0
        for index in range((bits + 6) // 7):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                break
        else:
            raise malformed("a number is too large")
        if value >> bits:
            raise malformed("a number is too large")
        return value

    def u16(self):
        return self.varint(16)

    def u32(self):
        return self.varint(32)

    def u64(self):
        return self.varint(64)

    def i64(self):
        """Zigzag."""
        value = self.u64()
        return -(value + 1) // 2 if value & 1 else value // 2

    def u64le(self):
        return int.from_bytes(self.take(8), "little")

    def string(self):
        data = self.take(self.u64())
        try:
            return data.decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise malformed("a string is not UTF-8") from None

    def option(self, read):
        tag = self.byte()
        if tag > 1:
            raise malformed("an optional value is neither there nor not")
        return read() if tag else None

    def list(self, shortest, read):
        """A count, which is compared with the bytes that are there, and the elements."""
        return self.items(self.u64(), shortest, read)

    def items(self, count, shortest, read):
        if count * shortest > self.left():
            raise Refused("truncated", "the message is cut")
        return [read() for _ in range(count)]

    def flags(self, *names):
        """A set of those that are set."""
        value = self.byte()
        if value >> len(names):
            raise malformed("unknown flags")
        return {name for bit, name in enumerate(names) if value >> bit & 1}

    def choice(self, names):
        index = self.u32()
        if index >= len(names):
            raise malformed("not what the format says")
        return names[index]

    def version(self):
        return bounded(self.u64())


def bounded(value):
    if value > MAX_VERSION:
        raise malformed("a version, heartbeat or generation above 2^62")
    return value


def above(base, difference, strictly=False):
    if strictly and difference == 0:
        raise malformed("a version occurs twice")
    return bounded(base + difference)


def watermark(value):
    if value < 0:
        raise malformed("a watermark below 0")
    return bounded(value)


def hexadecimal(value):
    return f"{value:016x}"


# --- Envelope -------------------------------------------------------------------------------------


def siphash13(key, data):
    """SipHash with one round for each word and three at the end, of 64 bits."""
    mask = (1 << 64) - 1
    k0, k1 = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(value, count):
        return (value << count | value >> (64 - count)) & mask

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & mask
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & mask
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        rounds(1)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(3)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def cluster_hash(cluster_id):
    return siphash13(b"chitchat cluster", cluster_id.encode("utf-8"))


def lz4_block(block, length):
    """Decompresses one block, which must give exactly `length` bytes."""
    bad = malformed("the compressed body is not an lz4 block")
    out = bytearray()
    at = 0

    def extended(count):
        nonlocal at
        if count == 15:
            while True:
                if at >= len(block):
                    raise bad
                count += block[at]
                at += 1
                if block[at - 1] != 255:
                    break
        return count

    while True:
        if at >= len(block):
            raise bad
        token = block[at]
        at += 1
        literals = extended(token >> 4)
        if at + literals > len(block) or len(out) + literals > length:
            raise bad
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            break
        if at + 2 > len(block):
            raise bad
        offset = int.from_bytes(block[at : at + 2], "little")
        at += 2
        count = extended(token & 15) + 4
        if not 0 < offset <= len(out) or len(out) + count > length:
            raise bad
        for _ in range(count):
            out.append(out[-offset])
    if len(out) != length:
        raise malformed("the compressed body is shorter than declared")
    return bytes(out)


def plain_body(message, compressed):
    body = message[ENVELOPE_LEN:]
    limit = MAX_DECOMPRESSED_LEN
    length = len(body)
    if compressed:
        reader = Reader(body)
        length = reader.u64()
        limit = min(limit, MAX_RATIO * len(message))
    if length > limit:
        raise Refused("too_large", f"a body of {length} bytes, and the limit is {limit}")
    return lz4_block(body[reader.at :], length) if compressed else body


def decode(message):
    """What a message says. Raises `Refused`."""
    if message[:2] != MAGIC[: len(message)]:
        raise Refused("not_ours", "not a message of this protocol")
    reader = Reader(message)
    reader.take(2)
    version, kind, flags, oldest, newest = reader.take(5)
    cluster, nonce, echo = reader.u64le(), reader.u64le(), reader.u64le()
    if not oldest <= version <= newest:
        raise malformed("the version is outside the sender's own range")
    if kind != 0 and version not in VERSIONS:
        raise Refused("unsupported_version", f"wire version {version}")
    if flags & ~COMPRESSED or (kind == 0 and flags):
        raise malformed("unknown flags in the envelope")
    # An unsupported answer is in any version.
    kinds = KINDS if version == 1 else KINDS_2
    if kind >= len(kinds):
        raise Refused("unknown_kind", f"unknown message kind {kind}")
    if kind == 0 and reader.left():
        raise malformed("an unsupported answer with a body")
    plain = plain_body(message, bool(flags & COMPRESSED))
    header = body = None
    if kind != 0:
        reader = Body(plain) if version == 1 else Body2(plain)
        may_be_positioned = version == 2 and kinds[kind] == "column_syn_ack"
        header = reader.header("position") if may_be_positioned else reader.header()
        body = reader.body(kinds[kind])
        if reader.left():
            raise malformed("bytes follow the message")
    return {
        "envelope": {
            "version": version,
            "kind": kinds[kind],
            "compressed": bool(flags & COMPRESSED),
            "reads": [oldest, newest],
            "cluster_id_hash": hexadecimal(cluster),
            "nonce": hexadecimal(nonce),
            "echo": hexadecimal(echo),
        },
        "plain_body_len": len(plain),
        "header": header,
        "body": body,
    }


# --- Body, version 1 ------------------------------------------------------------------------------


class Body(Reader):
    greatest_age = 0

    def header(self, *more_flags):
        flags = self.flags("observer", "observed", "about_you", "gc", *more_flags)
        interval = self.u32()
        if not 1 <= interval <= 3_600_000:
            raise malformed("a gossip interval below 1 ms or above 1 h")
        self.greatest_age = ((1 << 64) - 1) // (interval * 100)
        if "position" in flags:
            sender = {"position": self.u32()}
        else:
            sender = {"node_id": self.node_id(), "incarnation": self.incarnation()}
        sender["heartbeat"] = self.version()
        sender["age"] = min(self.u64(), self.greatest_age)
        sender["max_version"] = self.version()
        sender["last_gc_version"] = self.relative(sender["max_version"], "gc" in flags)
        return {
            "observer": "observer" in flags,
            "interval_ms": interval,
            "sender": sender,
            "observed": self.address() if "observed" in flags else None,
            "about_you": self.report() if "about_you" in flags else None,
        }

    def node_id(self):
        text = self.string()
        if not 1 <= len(text.encode()) <= MAX_ID_LEN:
            raise malformed("a node id is empty or too long")
        return text

    def incarnation(self):
        return {"generation": self.version(), "boot": hexadecimal(self.u64le())}

    def known_age(self):
        value = self.u64()
        return min(value - 1, self.greatest_age) if value else None

    def relative(self, max_version, is_there):
        """A watermark, given by its difference to what is beside it."""
        return watermark(max_version + self.i64()) if is_there else 0

    def address(self):
        octets = {"v4": 4, "v6": 16}[self.choice(["v4", "v6"])]
        return {"ip": self.take(octets).hex(), "port": self.u16()}

    def report(self):
        report = {
            "incarnation": self.incarnation(),
            "heartbeat": self.version(),
            "age": self.known_age(),
            "max_version": self.version(),
        }
        report["last_gc_version"] = self.relative(report["max_version"], True)
        return report

    def body(self, kind):
        if kind == "syn":
            return {"budget": self.u64(), **self.digest()}
        if kind == "syn_ack":
            return {
                "part": self.part(),
                "budget": self.u64(),
                "entries": self.digest_entries(),
                "deltas": self.deltas(),
            }
        if kind == "ack":
            return {"part": self.part(), "deltas": self.deltas()}
        if kind == "push":
            return {"deltas": self.deltas()}
        if kind == "push_ack":
            return {"max_version": self.version()}
        return {"reason": self.choice(REASONS)}

    def part(self):
        index = self.u32()
        flags = self.flags("last", "more")
        return {"index": index, "last": "last" in flags, "more": "more" in flags}

    def range(self):
        start = self.string()
        if len(start.encode()) > MAX_ID_LEN:
            raise malformed("the start of a range is too long")
        end = self.option(self.node_id)
        if end is not None and end.encode() <= start.encode():
            raise malformed("a digest over an empty range")
        return start, end

    def digest(self):
        start, end = self.range()
        entries = self.digest_entries()
        for entry in entries:
            node_id = entry["node_id"].encode()
            if node_id < start.encode() or (end is not None and node_id >= end.encode()):
                raise malformed("a digest entry outside the range")
        return {"start": start, "end": end, "entries": entries}

    def digest_entries(self):
        entries = self.list(15, self.digest_entry)
        ids = [entry["node_id"].encode() for entry in entries]
        if any(before >= after for before, after in zip(ids, ids[1:])):
            raise malformed("digest entries that do not ascend")
        return entries

    def digest_entry(self):
        entry = {
            "node_id": self.node_id(),
            "incarnation": self.incarnation(),
            "heartbeat": self.version(),
            "age": self.known_age(),
        }
        return {**entry, **self.versions()}

    def versions(self):
        """What is told of a log."""
        said = {"max_version": self.version(), "cursor": None, "parked": None}
        flags = self.flags("frozen", "cursor", "parked", "gc")
        said["frozen"] = "frozen" in flags
        said["last_gc_version"] = self.relative(said["max_version"], "gc" in flags)
        if "cursor" in flags:
            said["cursor"] = {"position": self.version(), "gc_version": self.version()}
        if "parked" in flags:
            said["parked"] = {"from": self.version(), "to": self.version()}
            if said["parked"]["from"] >= said["parked"]["to"]:
                raise malformed("an empty range of parked versions")
        return said

    def deltas(self):
        return self.list(19, self.delta)

    def delta(self):
        delta = {
            "node_id": self.node_id(),
            "incarnation": self.incarnation(),
            "heartbeat": self.version(),
            "age": self.known_age(),
            "from": self.version(),
        }
        delta["to"] = above(delta["from"], self.u64())
        delta["source"] = above(delta["to"], self.u64())
        delta["horizon"] = above(delta["source"], self.u64())
        flags = self.flags("prune", "gc")
        gc = watermark(delta["horizon"] - self.u64()) if "gc" in flags else 0
        delta["last_gc_version"] = gc
        delta["prune"] = self.prune() if "prune" in flags else None
        previous = delta["from"]

        def entry():
            nonlocal previous
            previous = above(previous, self.u64(), strictly=True)
            key = self.string()
            if not key:
                raise malformed("an empty key")
            op = self.choice(["delete", "set", "set_for"])
            value = self.string() if op != "delete" else None
            ttl = self.u64() if op == "set_for" else None
            op = "delete" if op == "delete" else "set"
            return {"version": previous, "key": key, "op": op, "value": value, "ttl_ms": ttl}

        delta["entries"] = self.list(4, entry)
        delta["valid"] = is_valid(delta)
        return delta

    def prune(self):
        prune = {"from": self.version()}
        prune["to"] = above(prune["from"], self.u64())
        previous = prune["from"]

        def version():
            nonlocal previous
            previous = above(previous, self.u64(), strictly=True)
            return previous

        prune["versions"] = self.list(1, version)
        return prune


def is_valid(delta):
    """Whether a delta may be applied. What the encoding makes impossible is not tested here."""
    entries, prune = delta["entries"], delta["prune"]
    keys = {entry["key"] for entry in entries}
    if len(keys) != len(entries) or any(entry["version"] > delta["to"] for entry in entries):
        return False
    if prune is None:
        return True
    return prune["to"] <= delta["from"] and all(it <= prune["to"] for it in prune["versions"])


# --- Body, version 2 ------------------------------------------------------------------------------


class Body2(Body):
    """Version 1, and digests in columns."""

    def body(self, kind):
        if kind == "column_syn":
            return {"budget": self.u64(), **self.columns()}
        if kind == "column_syn_ack":
            return {
                "part": self.part(),
                "budget": self.u64(),
                "answer": self.answer(),
                "entries": self.digest_entries(),
                "deltas": self.deltas(),
            }
        if kind == "inquiry":
            said = {"budget": self.u64(), "entries": self.digest_entries()}
            count = self.u64()
            said["nonce_of_news"] = hexadecimal(self.u64le()) if count else None
            said["unnamed"] = self.items(count, 6, lambda: self.take(6)[::-1].hex())
            return said
        if kind == "news":
            return {"changed": self.list(7, self.changed), "deltas": self.deltas()}
        return super().body(kind)

    def bits(self, count, width):
        """So many numbers of so many bits, from the lowest bit of the first byte on."""
        data = int.from_bytes(self.take((count * width + 7) // 8), "little")
        if data >> (count * width):
            raise malformed("bits behind the last")
        return [data >> (index * width) & ((1 << width) - 1) for index in range(count)]

    def cells(self, count):
        cells = []
        for bits in self.bits(count, 11):
            age, heartbeat = bits & 0x7F, bits >> 7
            if age <= 124:
                cells.append({"heartbeat": heartbeat, "age": age})
            elif age >= 126 and heartbeat == 0:
                cells.append("not_live" if age == 126 else "listed")
            else:
                raise malformed("a cell that is none")
        return cells

    def changed(self):
        return {"hash": self.take(6)[::-1].hex(), "max_version": self.version()}

    def life(self, position):
        return {"position": position, "heartbeat": self.version(), "age": self.known_age()}

    def positions(self, count, shortest, read):
        """A list in which each element begins with how many positions lie before it."""
        position = -1

        def element():
            nonlocal position
            position += self.u32() + 1
            if position >= count:
                raise malformed("a position behind the last")
            return read(position)

        return self.list(shortest, element)

    def columns(self):
        layout = self.byte()
        if layout == 0:
            fingerprint = hexadecimal(self.u64le())
            layout = {"by": "set", "fingerprint": fingerprint, "first": self.u32()}
            count = self.u64()
        elif layout == 1:
            start, end = self.range()
            hashes = self.list(6, lambda: self.take(6)[::-1].hex())
            layout = {"by": "hashes", "start": start, "end": end, "hashes": hashes}
            count = len(hashes)
        else:
            raise malformed("a layout that is none")
        cells = self.cells(count)
        listed = [position for position, cell in enumerate(cells) if cell == "listed"]
        return {
            "layout": layout,
            "cells": cells,
            "lives": [self.life(position) for position in listed],
            "not_live": self.take(4)[::-1].hex() if "not_live" in cells else None,
            "buckets": [self.take(2)[::-1].hex() for _ in range((count + 31) // 32)],
            "versions": self.versions_at(count),
        }

    def versions_at(self, count):
        return self.positions(count, 3, lambda position: {"position": position, **self.versions()})

    def answer(self):
        standing = self.byte()
        if standing > 2:
            raise malformed("a standing that is none")
        answer = {"standing": ["same", "other", "unknown"][standing], "count": 0}
        lists = ["newer", "lives", "asked", "unknown", "versions"]
        answer.update({name: [] for name in lists})
        if standing == 2:
            return answer
        count = answer["count"] = self.u32()
        flags = self.flags(*lists)
        read = {
            "newer": self.newer,
            "lives": lambda count: self.positions(count, 3, self.life),
            "asked": lambda count: self.positions(count, 1, lambda position: position),
            "unknown": lambda count: self.positions(count, 1, lambda position: position),
            "versions": self.versions_at,
        }
        for name in lists:
            if name in flags:
                answer[name] = read[name](count)
                if not answer[name]:
                    raise malformed("a list without entries")
        return answer

    def newer(self, count):
        positions = [position for position, bit in enumerate(self.bits(count, 1)) if bit]
        cells = self.cells(len(positions))
        if any(isinstance(cell, str) for cell in cells):
            raise malformed("a later life without a heartbeat")
        return [{"position": at, "cell": cell} for at, cell in zip(positions, cells)]


# --- Command --------------------------------------------------------------------------------------


def read_file(path):
    with open(path, "rb") as file:
        data = file.read()
    if not path.endswith(".hex"):
        return data
    lines = data.decode("ascii").splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--hash":
        print(hexadecimal(cluster_hash(arguments[1])))
        return 0
    if arguments == ["-"]:
        messages = ((str(line), bytes.fromhex(text)) for line, text in enumerate(sys.stdin, 1))
    elif arguments and not arguments[0].startswith("-"):
        messages = ((path, read_file(path)) for path in arguments)
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    status = 0
    for name, message in messages:
        try:
            result = {"message": decode(message)}
        except Refused as refused:
            result = dict(zip(("error", "reason"), refused.args))
            status = 1
        print(json.dumps({"from": name, **result}))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
