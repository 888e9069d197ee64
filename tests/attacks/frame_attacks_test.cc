// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks on the gRPC port by what HTTP/2 lets a client send: header blocks without an end, lengths
// that never end or announce what never comes, frames that cost the server more than the client. By
// a stranger, and by whoever has a certificate. Each was seen to succeed before TLS ended before
// gRPC; docs/operate/security.md has the table.
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/http2/frame_checker.h"
#include "base/http2/header_block.h"
#include "base/http2/testing/frames_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/tls_terminator/testing/h2_client_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"

namespace wattle::attacks {
namespace {

using http2::EncodeField;
using http2::FrameOf;

constexpr size_t kMemoryMax = size_t{50} << 20;
constexpr size_t kBlockMax = size_t{64} << 10;  // Sent of a header block before the end.

// Resident memory of this process, which includes the coordinator.
size_t ResidentBytes() {
  size_t pages = 0;
  std::ifstream statm("/proc/self/statm");
  statm >> pages >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// The begin of a call, without END_HEADERS.
std::string Call(uint8_t flags = 0) {
  return FrameOf(1, flags, 1,
                 absl::StrCat("\x83\x87\x04\x1f/wattle.v1.AccessService/WhoAmI\x01\x09localhost"));
}

struct Flood {
  std::string name;
  std::string begin;
  std::string again;     // Sent until the connection ends.
  size_t bytes_max = 0;  // The connection must end within so many bytes.
};

std::vector<Flood> Floods() {
  std::string fields;
  for (int i = 0; i < 90; ++i) {
    fields += EncodeField("abcde", std::string(100, 'x'));
  }
  const std::string gigabyte("\x00\x7f\x81\xff\xff\xff\x03", 7);
  const size_t control =
      static_cast<size_t>(http2::kControlFramesAtOnce + 10 * http2::kControlFramesPerSecond) * 32;
  return {
      {"whole headers again and again", Call(), FrameOf(9, 0, 1, fields), kBlockMax},
      {"a length that never ends", absl::StrCat(Call(), FrameOf(9, 0, 1, std::string("\0\x7f", 2))),
       FrameOf(9, 0, 1, std::string(16'000, '\x80')), kBlockMax},
      {"a string of a gigabyte", absl::StrCat(Call(), FrameOf(9, 0, 1, gigabyte)),
       FrameOf(9, 0, 1, std::string(16'000, 'x')), kBlockMax},
      {"one string of a gigabyte in a block that ends", "", FrameOf(1, 4, 1, gigabyte), kBlockMax},
      {"empty continuations", Call(), FrameOf(9, 0, 1, ""), kBlockMax},
      {"entries of the table that mean much", "",
       FrameOf(1, 4, 1,
               absl::StrCat(std::string("\x40\x01n\x7f\xe1\x1e", 6), std::string(4000, 'x'),
                            std::string(8'000, '\xbe'))),
       kBlockMax},
      {"resets of calls", "", absl::StrCat(Call(4), FrameOf(3, 0, 1, std::string("\0\0\0\x08", 4))),
       8 * control},
      {"pings", "", FrameOf(6, 0, 0, "12345678"), control},
      {"settings", "", FrameOf(4, 0, 0, ""), control},
      {"priorities", "", FrameOf(2, 0, 1, std::string("\0\0\0\0\1", 5)), control},
      {"empty data", "", FrameOf(0, 0, 1, ""), control},
      {"unknown frames", "", FrameOf(0x42, 0, 0, "unknown"), control},
      {"permissions of nothing", "", FrameOf(8, 0, 0, std::string(4, '\0')), kBlockMax},
  };
}

class FrameAttacks : public rpc::ServerFixture {
 protected:
  absl::Status AskWhoIAm() {
    v1::WhoAmIResponse me;
    return ServerFixture::Call(*v1::AccessService::NewStub(channel_),
                               &v1::AccessService::Stub::WhoAmI, v1::WhoAmIRequest(), me);
  }
  tls::CertificateFiles FilesOf(const std::string& device) {
    (void)DeviceChannel(device);
    return identity::FilesOf(*identity::Load(Path("device-" + device)));
  }
  // How many bytes go before the connection ends.
  static size_t SendUntilClosed(const Flood& flood, H2Client& client) {
    size_t sent = 0;
    std::string bytes = absl::StrCat(http2::kPrefaceForTest, FrameOf(4, 0, 0, ""), flood.begin);
    // What the sockets between hold may go after the end.
    while (sent < flood.bytes_max + (size_t{8} << 20) && client.Send(bytes)) {
      sent += bytes.size();
      bytes = flood.again;
    }
    return sent;
  }
};

TEST_F(FrameAttacks, AStrangersBytesReachNobody) {
  ASSERT_THAT(AskWhoIAm(), IsOk());
  const size_t before = ResidentBytes();
  for (const Flood& flood : Floods()) {
    H2Client client(server_->address());
    (void)SendUntilClosed(flood, client);
    EXPECT_TRUE(client.IsClosed()) << flood.name;
    EXPECT_THAT(AskWhoIAm(), IsOk()) << flood.name;
  }
  EXPECT_LT(ResidentBytes(), before + (size_t{20} << 20));
  EXPECT_EQ(limits_->refusals().broken_connections, 0) << "no frame of theirs was looked at";
}

TEST_F(FrameAttacks, AFloodOfAnEnrolledBoardEndsItsConnectionAndNamesIt) {
  const tls::CertificateFiles own = FilesOf("flooder");
  ASSERT_THAT(AskWhoIAm(), IsOk());
  const size_t before = ResidentBytes();
  uint64_t broken = 0;
  for (const Flood& flood : Floods()) {
    H2Client client(server_->address(), own);
    (void)SendUntilClosed(flood, client);
    EXPECT_TRUE(client.IsClosed()) << flood.name;
    EXPECT_THAT(AskWhoIAm(), IsOk()) << flood.name;
    EXPECT_EQ(limits_->refusals().broken_connections, ++broken) << flood.name;
    EXPECT_LT(ResidentBytes(), before + kMemoryMax) << flood.name;
  }
}

// Versions of gRPC end the process where metadata that are too many have a value that they do not
// know (CVE-2023-1428).
TEST_F(FrameAttacks, NoMetadataEndTheCoordinator) {
  const tls::CertificateFiles own = FilesOf("flooder");
  for (const std::string wrong : {"te", ":scheme", "grpclb_client_stats"}) {
    std::string block = absl::StrCat("\x83\x04\x1f/wattle.v1.AccessService/WhoAmI\x01\x09localhost",
                                     EncodeField(wrong, "x"));
    for (int i = 0; i < 90; ++i) {
      block += EncodeField("abcde", std::string(100, 'x'));
    }
    H2Client client(server_->address(), own);
    ASSERT_TRUE(client.Send(
        absl::StrCat(http2::kPrefaceForTest, FrameOf(4, 0, 0, ""), FrameOf(1, 5, 1, block))));
    EXPECT_NE(client.Read(), "");
    EXPECT_THAT(AskWhoIAm(), IsOk()) << wrong;
  }
}

}  // namespace
}  // namespace wattle::attacks
