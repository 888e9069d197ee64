// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls_terminator/tls_terminator.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "base/address_share.h"
#include "base/clock.h"
#include "base/http2/header_block.h"
#include "base/status_macros.h"
#include "base/tls_terminator/connection.h"
#include "base/tls_terminator/listening_sockets.h"
#include "base/unique_descriptor.h"

namespace wattle {
namespace {

// Connections that one look at the listening sockets lets in, and handshakes that may wait for
// their turn when more come in: of thousands that come at once none would end its handshake in time
// if all went on together.
constexpr int kAcceptedAtOnce = 4;
constexpr size_t kHandshakesWaitingMax = 32;
// Steps of handshakes, about half a millisecond each, before those who are connected have their
// turn: a flood of handshakes delays no call by more.
constexpr int kHandshakesOfATurn = 4;
constexpr absl::Duration kFullFor = absl::Milliseconds(100);  // A table of descriptors empties.
constexpr int kEventsMax = 256;
constexpr uint32_t kRoomOrBytes = EPOLLIN | EPOLLOUT;
constexpr uint32_t kReads = EPOLLIN | EPOLLRDHUP | EPOLLET;
// In the key of an event: of the socket to the server, not of that to the client.
constexpr uintptr_t kOfServer = 1;

// "10.0.0.7", "2001:db8::7"; empty: a link-local address, which means nothing without its
// interface.
std::string HostOf(const sockaddr_storage& peer) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr;
  if (peer.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(peer).sin_addr, text.data(),
              text.size());
  } else if (peer.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6)) {
    inet_ntop(AF_INET, v6.s6_addr + sizeof(v6) - sizeof(in_addr), text.data(), text.size());
  } else if (peer.ss_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&v6)) {
    inet_ntop(AF_INET6, &v6, text.data(), text.size());
  }
  return text.data();
}

// Closes by a reset, which leaves nothing to wait for here.
void Reset(UniqueDescriptor socket) {
  const linger at_once = {1, 0};
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

int MillisecondsUntil(Monotonic at, Monotonic now) {
  return static_cast<int>(absl::ToInt64Milliseconds(
      std::max(absl::ZeroDuration(), absl::Ceil(at - now, absl::Milliseconds(1)))));
}

}  // namespace

// How many connections are open, by what limits them. Thread-safe.
class TlsTerminator::Counts {
 public:
  // What a connection counts in; empty: is not known yet.
  struct Place {
    std::string share;
    std::string identity = {};
  };

  explicit Counts(const Limits& limits) : limits_(limits) {}

  // Empty: it may come in, and counts. Else why not.
  std::string Enter(const std::string& share) {
    absl::MutexLock lock(&mutex_);
    int& of_share = by_share_[share];
    if (limits_.connections_per_address > 0 && of_share >= limits_.connections_per_address) {
      return absl::StrCat(limits_.connections_per_address, " of it are open, its most");
    }
    if (limits_.connections > 0 && open_ >= limits_.connections) {
      Leave(share, by_share_, /*count=*/0);
      return absl::StrCat(limits_.connections, " are open in all, the most");
    }
    ++of_share;
    ++open_;
    return "";
  }
  // False: the identity has its most.
  bool Identify(const std::string& identity, Place& place) {
    absl::MutexLock lock(&mutex_);
    int& of_identity = by_identity_[identity];
    if (limits_.connections_per_identity > 0 && of_identity >= limits_.connections_per_identity) {
      return false;
    }
    ++of_identity;
    place.identity = identity;
    return true;
  }
  void Leave(const Place& place) {
    absl::MutexLock lock(&mutex_);
    Leave(place.share, by_share_, /*count=*/1);
    --open_;
    if (!place.identity.empty()) {
      Leave(place.identity, by_identity_, /*count=*/1);
    }
  }

 private:
  static void Leave(const std::string& key, std::map<std::string, int>& counts, int count) {
    const auto found = counts.find(key);
    if ((found->second -= count) == 0) {
      counts.erase(found);
    }
  }

  const Limits limits_;
  absl::Mutex mutex_;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> by_share_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> by_identity_ ABSL_GUARDED_BY(mutex_);
};

// One thread, and the connections that it accepted.
class TlsTerminator::Loop {
 public:
  explicit Loop(TlsTerminator& terminator) : terminator_(terminator) {}
  ~Loop();
  absl::Status Start();
  void StopAccepting() {
    accepts_ = false;
    (void)eventfd_write(wake_.get(), 1);
  }

 private:
  struct Open {
    Open(UniqueDescriptor socket, std::unique_ptr<tls::ServerSession> session)
        : connection(std::move(socket), std::move(session)) {}
    Connection connection;
    Counts::Place place;
    Peer peer;
    std::string name;  // In the PeerTable; empty: in its handshake.
    Monotonic since;
    std::list<Open*>::iterator in_handshake;
    bool has_turn = false;      // Is in turns_ or handshake_turns_.
    bool watches_room = false;  // Whether the server's socket is watched for room.
    bool ended = false;
  };

  // key: what Run finds in the events of the descriptor.
  [[nodiscard]] bool Watch(int descriptor, uint32_t events, uintptr_t key,
                           int operation = EPOLL_CTL_ADD) const {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = key;
    return epoll_ctl(epoll_.get(), operation, descriptor, &event) == 0;
  }
  static uintptr_t KeyOf(const void* whose) { return reinterpret_cast<uintptr_t>(whose); }
  void WatchListening(bool watch);
  void Run();
  [[nodiscard]] int Patience(Monotonic now) const;
  void Advance(Open& open, Monotonic now);
  void AdvanceHandshakes();
  // The handshake is complete.
  void Enter(Open& open);
  void BeginHttp2(Open& open);
  void HandOver(Open& open);
  void End(Open& open);
  void Bury();
  void Accept(int listening, Monotonic now);
  void EndSlowHandshakes(Monotonic now);

  TlsTerminator& terminator_;
  UniqueDescriptor epoll_;
  UniqueDescriptor wake_;
  std::atomic<bool> accepts_ = true;
  std::atomic<bool> ends_ = false;
  bool watches_listening_ = false;
  std::optional<Monotonic> full_until_;  // Accepts nobody before.
  std::unordered_map<Open*, std::unique_ptr<Open>> open_;
  std::list<Open*> handshakes_;  // The oldest first.
  std::vector<Open*> turns_;     // Go on without an event.
  std::deque<Open*> handshake_turns_;
  std::vector<Open*> ended_;  // To be freed once no event of this look can name them.
  std::thread thread_;
};

absl::Status TlsTerminator::Loop::Start() {
  epoll_ = UniqueDescriptor(epoll_create1(EPOLL_CLOEXEC));
  wake_ = UniqueDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (epoll_.get() < 0 || wake_.get() < 0 || !Watch(wake_.get(), EPOLLIN, KeyOf(this))) {
    return absl::UnavailableError("no descriptor is left");
  }
  WatchListening(true);
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

TlsTerminator::Loop::~Loop() {
  ends_ = true;
  StopAccepting();
  if (thread_.joinable()) {
    thread_.join();
  }
  for (auto& [key, open] : open_) {
    if (open->connection.has_begun()) {
      (void)open->connection.Pump(Clock::Real().Boottime());  // Passes the server's last bytes.
    }
    terminator_.counts_->Leave(open->place);
  }
}

void TlsTerminator::Loop::WatchListening(bool watch) {
  if (watch == watches_listening_) {
    return;
  }
  watches_listening_ = watch;
  for (UniqueDescriptor& one : terminator_.listening_->sockets) {
    if (watch) {
      (void)Watch(one.get(), EPOLLIN | EPOLLEXCLUSIVE, KeyOf(&one));
    } else {
      (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, one.get(), nullptr);
    }
  }
}

int TlsTerminator::Loop::Patience(Monotonic now) const {
  if (!turns_.empty() || !handshake_turns_.empty()) {
    return 0;
  }
  std::optional<Monotonic> at = full_until_;
  if (!handshakes_.empty()) {
    const Monotonic given_up = handshakes_.front()->since + terminator_.limits_.handshake_patience;
    at = at.has_value() ? std::min(*at, given_up) : given_up;
  }
  return at.has_value() ? MillisecondsUntil(*at, now) : -1;
}

void TlsTerminator::Loop::Run() {
  std::vector<UniqueDescriptor>& listening = terminator_.listening_->sockets;
  while (!ends_) {
    std::array<epoll_event, kEventsMax> events = {};
    const int count =
        epoll_wait(epoll_.get(), events.data(), kEventsMax, Patience(Clock::Real().Boottime()));
    const Monotonic now = Clock::Real().Boottime();
    if (full_until_.has_value() && now >= *full_until_) {
      full_until_.reset();
    }
    for (Open* const open : std::exchange(turns_, {})) {
      open->has_turn = false;
      Advance(*open, now);
    }
    std::vector<int> ready;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      const uintptr_t key = event.data.u64;
      const auto of_listening = std::find_if(listening.begin(), listening.end(),
                                             [&](const auto& one) { return KeyOf(&one) == key; });
      if (of_listening != listening.end()) {
        ready.push_back(of_listening->get());
      } else if (key != KeyOf(this)) {
        auto& open = *reinterpret_cast<Open*>(key & ~kOfServer);
        if ((key & kOfServer) == 0) {
          open.connection.NoteClientReadable();  // Also for room: TLS may wait for that to read.
        } else if ((event.events & ~uint32_t{EPOLLOUT}) != 0) {
          open.connection.NoteServerReadable((event.events & ~kRoomOrBytes) != 0);
        }
        Advance(open, now);
      }
    }
    AdvanceHandshakes();
    EndSlowHandshakes(now);
    for (const int one : ready) {
      if (handshake_turns_.size() < kHandshakesWaitingMax) {
        Accept(one, now);
      }
    }
    Bury();
    WatchListening(accepts_ && !full_until_.has_value());
    if (!accepts_) {
      eventfd_t said = 0;
      (void)eventfd_read(wake_.get(), &said);
    }
  }
}

void TlsTerminator::Loop::Advance(Open& open, Monotonic now) {
  if (open.ended) {
    return;
  }
  if (!open.connection.has_begun()) {
    if (!open.has_turn) {
      open.has_turn = true;
      handshake_turns_.push_back(&open);
    }
    return;
  }
  const Connection::Progress progress = open.connection.Pump(now);
  if (progress == Connection::Progress::kEnded) {
    if (!open.connection.breach().ok()) {
      terminator_.callbacks_.on_breach(open.peer, open.connection.breach());
    }
    return End(open);
  }
  if (open.connection.awaits_server() != open.watches_room) {
    open.watches_room = !open.watches_room;
    (void)Watch(open.connection.server(), kReads | (open.watches_room ? uint32_t{EPOLLOUT} : 0U),
                KeyOf(&open) | kOfServer, EPOLL_CTL_MOD);
  }
  if (progress == Connection::Progress::kDone && !open.has_turn) {
    open.has_turn = true;
    turns_.push_back(&open);
  }
}

void TlsTerminator::Loop::AdvanceHandshakes() {
  for (int i = 0; i < kHandshakesOfATurn && !handshake_turns_.empty(); ++i) {
    Open& open = *handshake_turns_.front();
    handshake_turns_.pop_front();
    open.has_turn = false;
    const Connection::Progress progress =
        open.ended ? Connection::Progress::kWaits : open.connection.Handshake();
    if (progress == Connection::Progress::kDone) {
      handshakes_.erase(open.in_handshake);
      open.in_handshake = handshakes_.end();
      Enter(open);
    } else if (progress == Connection::Progress::kEnded) {
      if (open.connection.session().lacks_certificate()) {
        terminator_.callbacks_.on_stranger(open.place.share);
      }
      End(open);
    }
  }
}

void TlsTerminator::Loop::Enter(Open& open) {
  if (open.connection.session().is_http2()) {
    BeginHttp2(open);
  } else if (terminator_.callbacks_.on_http1 != nullptr) {
    HandOver(open);
  } else {
    End(open);
  }
}

void TlsTerminator::Loop::BeginHttp2(Open& open) {
  const ssl_st* const connection = open.connection.session().connection();
  open.peer.certificate_pem = tls::PeerCertificate(connection);
  const std::string identity = tls::PeerUri(connection);
  if (!terminator_.counts_->Identify(identity, open.place)) {
    terminator_.callbacks_.on_refused(
        open.place.share, absl::StrCat(terminator_.limits_.connections_per_identity, " of ",
                                       identity, " are open, its most"));
    return End(open);
  }
  std::array<int, 2> pair = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    terminator_.callbacks_.on_problem(std::strerror(errno));
    return End(open);
  }
  UniqueDescriptor own(pair[0]);
  UniqueDescriptor servers(pair[1]);
  absl::StatusOr<std::string> name = terminator_.peers_.Add(open.peer);
  // A local socket tells of room for each message that the server takes: only who waits looks.
  if (!name.ok() || !Watch(own.get(), kReads, KeyOf(&open) | kOfServer)) {
    return End(open);
  }
  open.name = *name;
  open.connection.Begin(std::move(own), http2::EncodeField(kConnectionField, open.name));
  terminator_.callbacks_.on_http2(servers.release());
  open.has_turn = true;
  turns_.push_back(&open);
}

void TlsTerminator::Loop::HandOver(Open& open) {
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, open.connection.client(), nullptr);
  std::unique_ptr<tls::ServerSession> session = open.connection.ReleaseSession();
  const int socket = open.connection.ReleaseClient();
  End(open);
  terminator_.callbacks_.on_http1(socket, std::move(session));
}

void TlsTerminator::Loop::End(Open& open) {
  open.ended = true;
  if (open.in_handshake != handshakes_.end()) {
    handshakes_.erase(open.in_handshake);
    open.in_handshake = handshakes_.end();
  }
  if (!open.name.empty()) {
    terminator_.peers_.Ended(open.name);
  }
  terminator_.counts_->Leave(open.place);
  ended_.push_back(&open);
}

void TlsTerminator::Loop::Bury() {
  for (Open* const open : std::exchange(ended_, {})) {
    std::erase(turns_, open);
    std::erase(handshake_turns_, open);
    open_.erase(open);
  }
}

void TlsTerminator::Loop::EndSlowHandshakes(Monotonic now) {
  while (!handshakes_.empty() &&
         now - handshakes_.front()->since >= terminator_.limits_.handshake_patience) {
    End(*handshakes_.front());
  }
}

void TlsTerminator::Loop::Accept(int listening, Monotonic now) {
  for (int i = 0; i < kAcceptedAtOnce && accepts_; ++i) {
    sockaddr_storage peer = {};
    socklen_t length = sizeof(peer);
    UniqueDescriptor socket(accept4(listening, reinterpret_cast<sockaddr*>(&peer), &length,
                                    SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.get() < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        terminator_.callbacks_.on_problem(std::strerror(errno));
        full_until_ = now + kFullFor;
      }
      return;
    }
    const std::string share = ShareOf(peer);
    if (const std::string refusal = terminator_.counts_->Enter(share); !refusal.empty()) {
      terminator_.callbacks_.on_refused(share, refusal);
      Reset(std::move(socket));
      continue;
    }
    const int descriptor = socket.get();
    pollfd state = {descriptor, POLLRDHUP, 0};
    std::unique_ptr<tls::ServerSession> session = poll(&state, 1, 0) > 0
                                                      ? nullptr  // The client has given up.
                                                      : terminator_.context_->Accept(descriptor);
    if (session == nullptr) {
      terminator_.counts_->Leave({.share = share});
      continue;
    }
    auto open = std::make_unique<Open>(std::move(socket), std::move(session));
    open->place.share = share;
    open->peer.host = HostOf(peer);
    open->since = now;
    open->in_handshake = handshakes_.insert(handshakes_.end(), open.get());
    Open& entered = *open;
    open_[&entered] = std::move(open);
    if (!Watch(descriptor, kReads | EPOLLOUT, KeyOf(&entered))) {
      End(entered);
    }
  }
}

TlsTerminator::TlsTerminator(int port, const Limits& limits)
    : port_(port), limits_(limits), counts_(std::make_unique<Counts>(limits)) {}

absl::StatusOr<std::unique_ptr<TlsTerminator>> TlsTerminator::Bind(const std::string& flag,
                                                                   const std::string& address,
                                                                   const tls::CertificateFiles& own,
                                                                   tls::RootsSource client_roots,
                                                                   const Limits& limits) {
  WATTLE_ASSIGN_OR_RETURN(ListeningSockets listening, Listen(flag, address));
  std::unique_ptr<TlsTerminator> terminator(new TlsTerminator(listening.port, limits));
  WATTLE_ASSIGN_OR_RETURN(
      terminator->context_,
      tls::ServerContext::Open(own, std::move(client_roots), tls::Protocols::kHttp2AndHttp1));
  terminator->listening_ = std::make_unique<ListeningSockets>(std::move(listening));
  return terminator;
}

absl::Status TlsTerminator::Serve(Callbacks callbacks) {
  callbacks_ = std::move(callbacks);
  for (int i = 0; i < limits_.threads; ++i) {
    loops_.push_back(std::make_unique<Loop>(*this));
    WATTLE_RETURN_IF_ERROR(loops_.back()->Start());
  }
  return absl::OkStatus();
}

void TlsTerminator::StopAccepting() {
  for (const UniqueDescriptor& one : listening_->sockets) {
    (void)shutdown(one.get(), SHUT_RDWR);  // New clients are refused at once.
  }
  for (const std::unique_ptr<Loop>& loop : loops_) {
    loop->StopAccepting();
  }
}

TlsTerminator::~TlsTerminator() {
  loops_.clear();  // Before what they use.
}

}  // namespace wattle
