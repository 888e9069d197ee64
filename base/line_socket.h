// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A Unix socket for small requests from another process of this machine. Each connection carries
// one request of one line, and one answer: a digit, a space, and text up to the end. Mode and owner
// of the socket's file decide who may send requests.
#ifndef WATTLE_BASE_LINE_SOCKET_H_
#define WATTLE_BASE_LINE_SOCKET_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "base/unique_descriptor.h"

namespace wattle {

struct LineAnswer {
  int exit_code = 0;  // of the command that asked; 0 to 9
  std::string text;   // for people
};

// Who may open a socket.
struct LineSocketAccess {
  mode_t mode = 0600;
  uid_t user = static_cast<uid_t>(-1);  // the file's owner; -1: the process's user
};

class LineSocket {
 public:
  // Called on the socket's own thread, one request at a time.
  using Answers = std::function<LineAnswer(const std::string& request)>;

  // Replaces a socket that an earlier process left. Errors: kInvalidArgument for a path that is too
  // long for a socket; else errors of the system.
  static absl::StatusOr<std::unique_ptr<LineSocket>> Listen(const std::string& path,
                                                            const LineSocketAccess& access,
                                                            Answers answers);
  // Waits for an answer that is under way, and removes the socket.
  ~LineSocket();
  LineSocket(const LineSocket&) = delete;
  LineSocket& operator=(const LineSocket&) = delete;

 private:
  LineSocket(std::string path, Answers answers)
      : path_(std::move(path)), answers_(std::move(answers)) {}
  void Serve();
  void Answer(int connection) const;

  const std::string path_;
  const Answers answers_;
  UniqueDescriptor socket_;
  UniqueDescriptor stop_;  // an eventfd
  std::thread thread_;
};

// Sends a request to the process that owns the socket. server: its name, for people. Errors:
// kNotFound if no process listens, kPermissionDenied, kUnavailable if the process does not answer.
absl::StatusOr<LineAnswer> AskLineSocket(const std::string& path, absl::string_view server,
                                         const std::string& request);

}  // namespace wattle

#endif  // WATTLE_BASE_LINE_SOCKET_H_
