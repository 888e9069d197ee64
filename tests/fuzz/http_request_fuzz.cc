// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>

#include "base/check.h"
#include "base/http/socket_stream.h"
#include "base/unique_descriptor.h"
#include "tests/fuzz/fuzz_target.h"

namespace wattle::fuzz {
namespace {

constexpr size_t kBytesMax = 64 << 10;  // maximum of one read from a socket
constexpr int kRequestsMax = 4;         // maximum for one connection

// The library's reader, with routes like the coordinator's.
class RequestReader final : public httplib::Server {
 public:
  RequestReader() {
    set_payload_max_length(size_t{1} << 20);
    Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", "text/plain");
    });
    Post("/api/v1/jobs/([^/]+)/cancel",
         [](const httplib::Request& request, httplib::Response& response) {
           response.set_content(request.matches[1].str() + request.get_param_value("reason"),
                                "text/plain");
         });
  }

  // Returns whether the connection may continue.
  bool Answer(http::SocketStream& stream) {
    bool closed = false;
    return stream.AwaitRequest() && process_request(stream, false, closed, nullptr) && !closed;
  }
};

}  // namespace
}  // namespace wattle::fuzz

// The bytes of a connection to the HTTP ports.
WATTLE_FUZZ_TARGET(http_request, bytes) {
  int ends[2] = {-1, -1};
  WATTLE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a pair of sockets");
  const UniqueDescriptor server(ends[0]);
  const UniqueDescriptor client(ends[1]);
  const absl::string_view sent = bytes.substr(0, kBytesMax);
  (void)send(client.get(), sent.data(), sent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(client.get(), SHUT_WR);
  RequestReader reader;
  http::SocketStream stream(server.get(), {}, [](bool) {});
  bool goes_on = stream.Begin(nullptr);
  for (int i = 0; i < kRequestsMax && goes_on; ++i) {
    goes_on = reader.Answer(stream);
  }
  char begin[8] = {};
  const ssize_t got = recv(client.get(), begin, sizeof(begin), MSG_DONTWAIT);
  const absl::string_view answer(begin, got > 0 ? static_cast<size_t>(got) : 0);
  WATTLE_CHECK(answer.empty() || answer.substr(0, 7) == "HTTP/1.", "an answer is one of HTTP");
  return answer.empty() ? absl::InvalidArgumentError("no request") : absl::OkStatus();
}
