// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/token.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::tls {
namespace {

using testing::HasSubstr;
using testing::Not;

Token Sample(const std::string& address) {
  return {address, "0123456789abcdef", std::string(32, 'a'), std::string(64, 'b')};
}

TEST(TokenTest, IsReadAsItWasWritten) {
  for (const char* address : {"hub.local:7410", "10.0.0.1:1", "[fe80::1]:7410"}) {
    const auto token = ParseToken(" " + FormatToken(Sample(address)) + "\n");
    ASSERT_THAT(token, IsOk()) << address;
    EXPECT_EQ(token->address, address);
    EXPECT_EQ(token->id, "0123456789abcdef");
    EXPECT_EQ(token->secret, std::string(32, 'a'));
    EXPECT_EQ(token->pin, std::string(64, 'b'));
  }
}

TEST(TokenTest, EveryShorterTextIsRefusedWithoutTellingTheSecret) {
  const std::string whole = FormatToken(Sample("hub:7410"));
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto token = ParseToken(whole.substr(0, size));
    EXPECT_THAT(token, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token: "))) << size;
    EXPECT_THAT(std::string(token.status().message()), Not(HasSubstr("aaaa")));
  }
}

// Not by the part that the port is taken for.
TEST(TokenTest, ATokenThatWasCutShortIsToldByItsParts) {
  const std::string remedy = ", wanted 6; copy the whole token: wattle1:HOST:PORT:ID:SECRET:PIN";
  for (const auto& [text, parts] : {std::pair("wattle1:127.0.0.1:27410", 3),
                                    {"wattle1:[fe80::1]:7410:0123456789abcdef", 4},
                                    {"wattle1:hub", 2}}) {
    EXPECT_THAT(ParseToken(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                           absl::StrCat("token: has ", parts, " parts", remedy)))
        << text;
  }
  EXPECT_THAT(ParseToken(FormatToken(Sample("hub:7410")) + ":1"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 7 parts")));
  const std::string whole = FormatToken(Sample("[fe80::1]:7410"));
  EXPECT_THAT(ParseToken(whole.substr(0, whole.size() - 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("its pin has 63 characters")));
  EXPECT_THAT(ParseServiceToken("wattle-service:0123456789abcdef"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has 2 parts, wanted 3")));
}

TEST(TokenTest, OtherTextsAreRefused) {
  for (const char* text : {"", "wattle2:h:1:x", "wattle1:", "hello"}) {
    EXPECT_THAT(ParseToken(text), StatusIs(absl::StatusCode::kInvalidArgument, testing::_)) << text;
  }
  Token token = Sample("hub");
  EXPECT_THAT(ParseToken(FormatToken(token)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has no port")));
  token = Sample("hub:1");
  token.pin[3] = 'X';
  EXPECT_THAT(ParseToken(FormatToken(token)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("its pin")));
}

TEST(TokenTest, AServicesTokenIsReadAsItWasWritten) {
  const ServiceToken token = {"0123456789abcdef", std::string(32, 'a')};
  const std::string text = FormatServiceToken(token);
  EXPECT_EQ(text, "wattle-service:0123456789abcdef:" + std::string(32, 'a'));
  for (const std::string& header : {"Bearer " + text, "bearer " + text + "\n"}) {
    const auto read = ParseAuthorization(header);
    ASSERT_THAT(read, IsOk()) << header;
    EXPECT_EQ(read->id, token.id);
    EXPECT_EQ(read->secret, token.secret);
  }
  for (size_t size = 0; size < text.size(); ++size) {
    const auto read = ParseServiceToken(text.substr(0, size));
    EXPECT_THAT(read, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("token: "))) << size;
    EXPECT_THAT(std::string(read.status().message()), Not(HasSubstr("aaaa")));
  }
  for (const std::string& header :
       {std::string(), text, "Basic " + text, "Bearer x" + text, "Bearer " + text + "0",
        "Bearer " + FormatToken(Sample("hub:7410")),
        "Bearer wattle-service:0:0123456789abcdef:" + std::string(32, 'a')}) {
    EXPECT_THAT(ParseAuthorization(header),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << header;
  }
}

TEST(TokenTest, WorkersPagesHaveATokenOfTheirOwn) {
  const ServiceToken token = {"0123456789abcdef", std::string(32, 'a')};
  const std::string page = FormatPageToken(token);
  EXPECT_EQ(page, "wattle-page:0123456789abcdef:" + std::string(32, 'a'));
  const auto read = ParsePageAuthorization("Bearer " + page + "\n");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(FormatPageToken(*read), page);
  EXPECT_THAT(ParseAuthorization("Bearer " + page),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("for the pages of workers")));
  EXPECT_THAT(ParsePageAuthorization("Bearer " + FormatServiceToken(token)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has now seen it")));
  for (const std::string& header : {std::string(), page, "Basic " + page, "Bearer x" + page,
                                    "Bearer " + page + "0", std::string("Bearer wattle-page:")}) {
    EXPECT_THAT(ParsePageAuthorization(header),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << header;
  }
}

}  // namespace
}  // namespace wattle::tls
