// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Three years of a fleet in virtual time: boards are away for up to 13 months, their clocks are
// wrong by up to 40 years, the root is changed each year, and the coordinator restarts. The
// authority, the checks of both sides and the rules of renewal are the real ones; no network is
// between them.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "coordinator/authority/authority.h"
#include "identity/enroll.h"

namespace wattle::authority {
namespace {

constexpr absl::Duration Days(int days) {
  return absl::Hours(24 * days);
}
constexpr absl::Duration kStep = Days(10);
constexpr absl::Duration kForAYear = Days(365);
constexpr int kBoards = 8;
// callers/callers.cc: how long an expired certificate may still renew itself.
constexpr absl::Duration kRenewAfterExpiry = Days(400);
// An old root is retired after this time, even if boards still use it.
constexpr absl::Duration kRetireAfter = Days(100);

struct Board {
  std::string name;
  absl::Duration skew;  // Error of its clock.
  absl::Time away_until = absl::InfinitePast();
  tls::SigningRequest request;
  std::string chain;
  identity::Identity identity;  // The identity stored in its folder.
};

class RotationYearsTest : public testing::TestWithParam<uint32_t> {
 protected:
  RotationYearsTest() : random_(GetParam()) {
    Restart();
    for (int i = 0; i < kBoards; ++i) {
      Board board;
      board.name = absl::StrCat("d", i);
      // No clock of its own; a quarter of an hour off; three weeks ahead; right.
      const absl::Duration kSkews[] = {Days(-40 * 365), absl::Minutes(-15), Days(20),
                                       absl::ZeroDuration()};
      board.skew = kSkews[i % 4];
      board.request = *tls::ReadSigningRequest(*tls::NewSigningRequest(*tls::NewKey()));
      Sign(board);
      boards_.push_back(std::move(board));
    }
  }

  void Restart() {
    auto opened = Authority::Open(directory_.File("authority"), {{"hub"}, {}}, clock_);
    ASSERT_THAT(opened, IsOk());
    authority_ = *std::move(opened);
  }
  // Signs like enrolment and renewal.
  void Sign(Board& board) {
    board.chain = *authority_->SignClient(board.request, "device", board.name);
    const auto facts = tls::ReadCertificate(board.chain);
    ASSERT_THAT(facts, IsOk());
    board.identity.not_before = facts->not_before;
    board.identity.not_after = facts->not_after;
    board.identity.roots_pem = authority_->roots_pem();
    board.identity.renewal_asked = false;
  }

  // Whether the board is admitted; renews its certificate when due. identity::CredentialsOf checks
  // the coordinator, callers::Callers the board, and identity::Renewal the certificate.
  bool Meets(Board& board) {
    const std::string server = *ReadWholeFile(authority_->server_files().chain_path);
    const absl::Time at = std::max(clock_.now + board.skew, board.identity.not_before);
    if (!tls::VerifyChain(server, board.identity.roots_pem, tls::Use::kServer).ok() ||
        !tls::CheckExpiry(server, at).ok() ||
        !tls::VerifyChain(board.chain, authority_->roots_pem(), tls::Use::kClient).ok()) {
      return false;
    }
    if (board.identity.not_after + kRenewAfterExpiry < clock_.now) {
      return false;
    }
    const bool refused = board.identity.not_after < clock_.now;  // which makes the board renew
    board.identity.renewal_asked = refused || tls::ReadCertificate(server)->issuer_key_id !=
                                                  tls::ReadCertificate(board.chain)->issuer_key_id;
    if (identity::RenewalIsDue(board.identity, clock_.now + board.skew)) {
      Sign(board);
    }
    return true;
  }
  bool RootIsTrusted(const Board& board) const { return !authority_->RootOf(board.chain).empty(); }

  // Rotates to a new root once a year, and retires the old one when no board uses it, or after its
  // time.
  void RotateAndRetire() {
    const std::vector<Authority::Root> roots = authority_->Roots();
    if (roots.size() == 1 && clock_.now >= rotated_ + kForAYear) {
      ASSERT_THAT(authority_->PrepareRotation(), IsOk());
      ASSERT_THAT(authority_->Rotate(), IsOk());
      rotated_ = clock_.now;
      ++rotations_;
    } else if (roots.size() == 2) {
      const bool left = std::any_of(boards_.begin(), boards_.end(), [&](const Board& board) {
        return authority_->RootOf(board.chain) == roots[1].sha256;
      });
      if (!left || clock_.now > rotated_ + kRetireAfter) {
        ASSERT_THAT(authority_->Retire(roots[1].sha256), IsOk());
      }
    }
  }

  std::mt19937 random_;
  TestDirectory directory_;
  SetClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  std::unique_ptr<Authority> authority_;
  std::vector<Board> boards_;
  absl::Time rotated_ = clock_.now;
  int rotations_ = 0;
};

TEST_P(RotationYearsTest, NobodyEnrolsAgainWhoseRootIsTrusted) {
  const absl::Time end = clock_.now + 3 * kForAYear + Days(100);
  int expired = 0;
  int locked_out = 0;
  while (clock_.now < end) {
    clock_.now += kStep;
    if (random_() % 20 == 0) {
      Restart();
    }
    RotateAndRetire();
    ASSERT_THAT(authority_->RenewServerCertificate(), IsOk());
    for (Board& board : boards_) {
      SCOPED_TRACE(absl::StrCat("seed ", GetParam(), ", ", board.name, " at ",
                                absl::FormatTime(clock_.now, absl::UTCTimeZone())));
      if (board.away_until > clock_.now) {
        continue;
      }
      const bool trusted = RootIsTrusted(board);
      expired += trusted && board.identity.not_after < clock_.now ? 1 : 0;
      ASSERT_EQ(Meets(board), trusted);
      if (!trusted) {
        ++locked_out;
        Sign(board);  // by a new token
        ASSERT_TRUE(Meets(board));
      }
      if (random_() % 12 == 0) {
        board.away_until = clock_.now + (1 + random_() % 40) * kStep;
      }
    }
  }
  EXPECT_EQ(rotations_, 3);
  EXPECT_GT(expired, 0) << "nobody was away long enough to say something";
  EXPECT_GT(locked_out, 0);
}

// The coordinator's certificate has ended by such a clock, and the board waits until it is set.
TEST_P(RotationYearsTest, AClockFarAheadWaitsAndThenGoesOn) {
  Board& board = boards_[0];
  board.skew = 40 * kForAYear;
  EXPECT_FALSE(Meets(board));
  clock_.now += Days(60);
  ASSERT_THAT(authority_->RenewServerCertificate(), IsOk());
  board.skew = absl::ZeroDuration();
  EXPECT_TRUE(Meets(board));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RotationYearsTest, testing::Values(20261126U));

}  // namespace
}  // namespace wattle::authority
