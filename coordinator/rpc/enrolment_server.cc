// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/enrolment_server.h"

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "httplib.h"

#include "base/utf8.h"
#include "identity/enroll.h"

namespace wattle::rpc {
namespace {

constexpr size_t kBodyBytesMax = size_t{16} << 10;
constexpr size_t kAcceptedMax = 256;
constexpr char kTextType[] = "text/plain; charset=utf-8";

// An IPv4 address in the form of IPv6, as a socket of both has it, is the IPv4 address.
std::string HostOf(const httplib::Request& request) {
  absl::string_view host = request.remote_addr;
  absl::ConsumePrefix(&host, "::ffff:");
  return std::string(host);
}

void SetError(const absl::Status& status, int http_status, httplib::Response& response) {
  response.status = http_status;
  response.set_header("Wattle-Status", std::to_string(static_cast<int>(status.code())));
  response.set_content(OneLine(status.message()), kTextType);
}

}  // namespace

EnrolmentServer::EnrolmentServer(AccessService& access)
    : access_(access), server_({}, nullptr), thread_([this] { Run(); }) {
  server_.set_payload_max_length(kBodyBytesMax);
  server_.Post(
      identity::kEnrollPath, [this](const httplib::Request& request, httplib::Response& response) {
        v1::EnrollRequest enroll;
        if (request.get_header_value("Content-Type") != identity::kEnrollContentType ||
            !enroll.ParseFromString(request.body)) {
          return SetError(absl::InvalidArgumentError("enrolment: the body is no EnrollRequest"),
                          400, response);
        }
        const absl::StatusOr<v1::IdentityCertificate> enrolled =
            access_.Enroll(HostOf(request), enroll);
        if (!enrolled.ok()) {
          return SetError(enrolled.status(), 403, response);
        }
        response.set_content(enrolled->SerializeAsString(), identity::kEnrollContentType);
      });
  server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (response.body.empty()) {
      SetError(absl::UnimplementedError(absl::StrCat("HTTP ", response.status,
                                                     ": here is only POST ", identity::kEnrollPath,
                                                     "; the pages are on the port of --http")),
               response.status, response);
    }
  });
}

EnrolmentServer::~EnrolmentServer() {
  {
    absl::MutexLock lock(&mutex_);
    ends_ = true;
  }
  server_.CloseAll();  // Also wakes the thread where it waits for room.
  thread_.join();
  server_.CloseAll();  // What the thread gave it meanwhile.
}

void EnrolmentServer::Take(int socket, std::unique_ptr<tls::ServerSession> session) {
  http::Accepted one{UniqueDescriptor(socket), std::move(session)};
  absl::MutexLock lock(&mutex_);
  if (accepted_.size() < kAcceptedMax) {
    accepted_.push_back(std::move(one));
  }
}

void EnrolmentServer::Run() {
  const auto woken = [this]()
                         ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ends_ || !accepted_.empty(); };
  while (true) {
    http::Accepted next;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&woken));
      if (ends_) {
        return;
      }
      next = std::move(accepted_.front());
      accepted_.pop_front();
    }
    server_.Take(std::move(next));
  }
}

}  // namespace wattle::rpc
