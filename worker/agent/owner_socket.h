// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The socket of the person at the board: a Unix socket in the state folder, for the worker's user
// and group (mode 0660), so that the board can be held without a link. One request of one line per
// connection, and one answer: a digit, a space, and text up to the end.
#ifndef WATTLE_WORKER_AGENT_OWNER_SOCKET_H_
#define WATTLE_WORKER_AGENT_OWNER_SOCKET_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "base/unique_descriptor.h"

namespace wattle::agent {

// The socket's name in the state folder.
inline constexpr char kOwnerSocket[] = "owner.sock";

struct OwnerAnswer {
  int exit_code = 0;  // of the command that asked; 0 to 9
  std::string text;   // for people
};

class OwnerSocket {
 public:
  // Called on the socket's own thread, one request at a time.
  using Answers = std::function<OwnerAnswer(const std::string& request)>;

  // Replaces a socket that an earlier process left. Errors: kInvalidArgument for a path that is too
  // long for a socket; else of the system.
  static absl::StatusOr<std::unique_ptr<OwnerSocket>> Listen(const std::string& path,
                                                             Answers answers);
  // Waits for an answer that is under way, and removes the socket.
  ~OwnerSocket();
  OwnerSocket(const OwnerSocket&) = delete;
  OwnerSocket& operator=(const OwnerSocket&) = delete;

 private:
  OwnerSocket(std::string path, Answers answers)
      : path_(std::move(path)), answers_(std::move(answers)) {}
  void Serve();
  void Answer(int connection) const;

  const std::string path_;
  const Answers answers_;
  UniqueDescriptor socket_;
  UniqueDescriptor stop_;  // an eventfd
  std::thread thread_;
};

// Asks the worker whose socket this is. Errors: kNotFound where no worker listens,
// kPermissionDenied, kUnavailable where the worker does not answer.
absl::StatusOr<OwnerAnswer> AskWorker(const std::string& path, const std::string& request);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_OWNER_SOCKET_H_
