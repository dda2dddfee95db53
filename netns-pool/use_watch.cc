#include "netns-pool/use_watch.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sock::netns {
namespace {

using Mark = std::uint64_t;

int bpf(bpf_cmd command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

/// All attributes zero, padding included: the kernel insists.
bpf_attr no_attributes() {
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  return attributes;
}

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

constexpr bpf_insn instruction(int code, int destination, int source, int offset, int immediate) {
  bpf_insn out{};
  out.code = static_cast<__u8>(code);
  out.dst_reg = static_cast<__u8>(destination & 0xf);
  out.src_reg = static_cast<__u8>(source & 0xf);
  out.off = static_cast<__s16>(offset);
  out.imm = immediate;
  return out;
}

constexpr bpf_insn call(bpf_func_id function) {
  return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, function);
}

Result<Fd> make_map() {
  bpf_attr attributes = no_attributes();
  attributes.map_type = BPF_MAP_TYPE_HASH;
  attributes.key_size = sizeof(std::uint64_t);
  attributes.value_size = sizeof(Mark);
  attributes.max_entries = UseWatch::kMost;
  attributes.map_flags = BPF_F_NO_PREALLOC;
  Fd map(bpf(BPF_MAP_CREATE, attributes));
  if (!map) return fail_errno("watch network namespaces", "BPF_MAP_CREATE");
  return map;
}

/// mark = map[netns_cookie(socket)]; if (mark) *mark = 1; let it be made.
Result<Fd> load_program(int map) {
  constexpr int kMov = BPF_ALU64 | BPF_MOV;
  const std::array program{
      call(BPF_FUNC_get_netns_cookie),  // r1 is the socket from the start
      instruction(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_0, -8, 0),
      instruction(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map),
      instruction(0, 0, 0, 0, 0),  // the upper half of that address
      instruction(kMov | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
      instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -8),
      call(BPF_FUNC_map_lookup_elem),
      instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 1, 0),
      instruction(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_0, 0, 0, 1),
      instruction(kMov | BPF_K, BPF_REG_0, 0, 0, 1),
      instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  constexpr char kLicense[] = "Apache-2.0";
  constexpr char kName[] = "sock_use_watch";
  bpf_attr attributes = no_attributes();
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_SOCK;
  attributes.expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE;
  attributes.insns = address_of(program.data());
  attributes.insn_cnt = static_cast<__u32>(program.size());
  attributes.license = address_of(kLicense);
  static_assert(sizeof kName <= BPF_OBJ_NAME_LEN);
  std::memcpy(attributes.prog_name, kName, sizeof kName);
  Fd loaded(bpf(BPF_PROG_LOAD, attributes));
  if (!loaded) return fail_errno("watch network namespaces", "BPF_PROG_LOAD");
  return loaded;
}

}  // namespace

Result<std::shared_ptr<UseWatch>> UseWatch::start(int cgroup) {
  auto map = make_map();
  if (!map) return std::unexpected(map.error());
  auto program = load_program(map->get());
  if (!program) return std::unexpected(program.error());
  bpf_attr attributes = no_attributes();
  attributes.link_create.prog_fd = static_cast<__u32>(program->get());
  attributes.link_create.target_fd = static_cast<__u32>(cgroup);
  attributes.link_create.attach_type = BPF_CGROUP_INET_SOCK_CREATE;
  Fd link(bpf(BPF_LINK_CREATE, attributes));
  if (!link) return fail_errno("watch network namespaces", "BPF_LINK_CREATE");
  return std::shared_ptr<UseWatch>(new UseWatch(std::move(*map), std::move(link)));
}

Result<> UseWatch::add(std::uint64_t cookie) const {
  const Mark clear = 0;
  bpf_attr attributes = no_attributes();
  attributes.map_fd = static_cast<__u32>(map_.get());
  attributes.key = address_of(&cookie);
  attributes.value = address_of(&clear);
  attributes.flags = BPF_NOEXIST;
  if (bpf(BPF_MAP_UPDATE_ELEM, attributes) < 0) {
    return fail_errno("watch network namespace", "BPF_MAP_UPDATE_ELEM");
  }
  return {};
}

void UseWatch::remove(std::uint64_t cookie) const {
  bpf_attr attributes = no_attributes();
  attributes.map_fd = static_cast<__u32>(map_.get());
  attributes.key = address_of(&cookie);
  (void)bpf(BPF_MAP_DELETE_ELEM, attributes);
}

bool UseWatch::untouched(std::uint64_t cookie) const {
  Mark mark = 1;
  bpf_attr attributes = no_attributes();
  attributes.map_fd = static_cast<__u32>(map_.get());
  attributes.key = address_of(&cookie);
  attributes.value = address_of(&mark);
  return bpf(BPF_MAP_LOOKUP_ELEM, attributes) == 0 && mark == 0;
}

WatchedUse::WatchedUse(WatchedUse&& other) noexcept
    : watch_(std::move(other.watch_)), cookie_(other.cookie_) {}

WatchedUse& WatchedUse::operator=(WatchedUse&& other) noexcept {
  std::swap(watch_, other.watch_);
  std::swap(cookie_, other.cookie_);
  return *this;
}

WatchedUse::~WatchedUse() {
  if (watch_) watch_->remove(cookie_);
}

Result<WatchedUse> WatchedUse::begin(std::shared_ptr<const UseWatch> watch, std::uint64_t cookie) {
  if (auto added = watch->add(cookie); !added) return std::unexpected(added.error());
  WatchedUse out;
  out.watch_ = std::move(watch);
  out.cookie_ = cookie;
  return out;
}

}  // namespace sock::netns
