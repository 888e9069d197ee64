// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/site_turns.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace wattle::core {
namespace {

constexpr int64_t kModelBytes = 600'000'000;

class SiteTurnsTest : public testing::Test {
 protected:
  SiteTurns::Question Of(const std::string& board, const std::string& artifact = "model") const {
    return {DeviceId(board), "barn", ArtifactId(artifact), kModelBytes};
  }
  SiteTurns::Answer Find(const std::string& board,
                         const std::vector<SiteTurns::Neighbour>& neighbours = {}) {
    return turns_.Find(Of(board), neighbours, now_);
  }
  void After(absl::Duration time) { now_ = now_ + time; }

  SiteTurns turns_{2};
  Monotonic now_{absl::Hours(1)};
};

TEST_F(SiteTurnsTest, FewBoardsOfASiteFetchAtOnce) {
  EXPECT_TRUE(Find("a").go);
  EXPECT_TRUE(Find("b").go);
  const SiteTurns::Answer third = Find("c");
  EXPECT_FALSE(third.go);
  EXPECT_GT(third.wait, absl::ZeroDuration());
  EXPECT_TRUE(Find("a").go) << "it has its turn, and asks again after a restart";
  turns_.Fetched(DeviceId("a"), ArtifactId("model"), now_);
  EXPECT_TRUE(Find("c").go);
}

TEST_F(SiteTurnsTest, OtherSitesAndBoardsWithoutASiteDoNotWait) {
  EXPECT_TRUE(Find("a").go);
  EXPECT_TRUE(Find("b").go);
  SiteTurns::Question other = Of("c");
  other.site = "mast";
  EXPECT_TRUE(turns_.Find(other, {}, now_).go);
  for (const char* board : {"d", "e", "f"}) {
    SiteTurns::Question own = Of(board);
    own.site = "";
    EXPECT_TRUE(turns_.Find(own, {}, now_).go);
  }
}

TEST_F(SiteTurnsTest, AnotherArtifactTakesTheTurnOfTheSameBoard) {
  EXPECT_TRUE(Find("a").go);
  EXPECT_TRUE(turns_.Find(Of("a", "data"), {}, now_).go);
  EXPECT_TRUE(Find("b").go) << "the first board holds one turn";
  EXPECT_FALSE(Find("c").go);
}

TEST_F(SiteTurnsTest, ATurnEndsAMinuteAfterTheLastCall) {
  EXPECT_TRUE(Find("a").go);
  EXPECT_TRUE(Find("b").go);
  turns_.ReadBegan(DeviceId("b"), now_);
  After(absl::Seconds(61));
  EXPECT_TRUE(Find("c").go) << "the first board never began";
  EXPECT_FALSE(Find("d").go) << "a call of the second one goes on";
  turns_.ReadEnded(DeviceId("b"), now_);
  After(absl::Seconds(59));
  turns_.Read(DeviceId("c"), 1, now_);
  EXPECT_FALSE(Find("d").go);
  After(absl::Seconds(2));
  EXPECT_TRUE(Find("d").go);
}

TEST_F(SiteTurnsTest, ACallThatMovesNothingHoldsNoTurnForEver) {
  EXPECT_TRUE(Find("a").go);
  EXPECT_TRUE(Find("b").go);
  turns_.ReadBegan(DeviceId("a"), now_);
  turns_.ReadBegan(DeviceId("b"), now_);
  After(absl::Minutes(18));
  turns_.Read(DeviceId("b"), 1 << 20, now_);  // at 1 kB/s
  After(absl::Minutes(3));
  EXPECT_TRUE(Find("c").go);
  EXPECT_FALSE(Find("d").go);
}

TEST_F(SiteTurnsTest, WhoFetchesTheSameAgainAndAgainLosesItsTurn) {
  EXPECT_TRUE(Find("a").go);
  EXPECT_TRUE(Find("b").go);
  turns_.ReadBegan(DeviceId("a"), now_);
  turns_.Read(DeviceId("a"), 2 * kModelBytes + (64 << 20), now_);
  EXPECT_TRUE(Find("c").go);
}

TEST_F(SiteTurnsTest, OthersWaitForABoardThatWillServeIt) {
  const std::vector<SiteTurns::Neighbour> serving = {{DeviceId("a")}};
  EXPECT_TRUE(Find("a", serving).go);
  EXPECT_FALSE(Find("b", serving).go) << "one copy crosses the link, although two may fetch";
  EXPECT_TRUE(turns_.Find(Of("b", "data"), serving, now_).go);
  turns_.Read(DeviceId("a"), kModelBytes / 2, now_ + absl::Seconds(100));
  After(absl::Seconds(100));
  EXPECT_EQ(Find("c", serving).wait, absl::Seconds(50)) << "half of what it still takes";
  turns_.Fetched(DeviceId("a"), ArtifactId("model"), now_);
  const SiteTurns::Answer answer = Find("c", serving);
  EXPECT_EQ(answer.peer, DeviceId("a")) << "before a heartbeat tells it";
  EXPECT_FALSE(answer.go);
}

TEST_F(SiteTurnsTest, NobodyWaitsForABoardThatSentWrongBytes) {
  const std::vector<SiteTurns::Neighbour> serving = {{DeviceId("a")}, {DeviceId("liar"), true}};
  EXPECT_EQ(Find("b", serving).peer, DeviceId("liar"));
  SiteTurns::Question question = Of("b");
  question.avoid = {DeviceId("liar")};
  EXPECT_TRUE(turns_.Find(question, serving, now_).go);
  EXPECT_FALSE(turns_.WasSent(DeviceId("b"), DeviceId("liar"), ArtifactId("model"), now_));
}

TEST_F(SiteTurnsTest, ABoardThatReachesNoOtherTakesItsTurnAtTheCoordinator) {
  const std::vector<SiteTurns::Neighbour> serving = {{DeviceId("x"), true}};
  SiteTurns::Question question = Of("b");
  question.coordinator_alone = true;
  EXPECT_TRUE(turns_.Find(question, serving, now_).go);
  question.board = DeviceId("c");
  EXPECT_TRUE(turns_.Find(question, serving, now_).go);
  question.board = DeviceId("d");
  EXPECT_FALSE(turns_.Find(question, serving, now_).go) << "few at once, here too";
}

TEST_F(SiteTurnsTest, ABoardServesFewAtOnceAndTheLeastBusyFirst) {
  const std::vector<SiteTurns::Neighbour> serving = {{DeviceId("x"), true}, {DeviceId("y"), true}};
  std::map<DeviceId, int> sent;
  for (int i = 0; i < 2 * SiteTurns::kBoardsOfAPeer; ++i) {
    const SiteTurns::Answer answer = Find(absl::StrCat("b", i), serving);
    ASSERT_TRUE(answer.peer.has_value());
    ++sent[*answer.peer];
  }
  EXPECT_EQ(sent[DeviceId("x")], SiteTurns::kBoardsOfAPeer);
  EXPECT_EQ(sent[DeviceId("y")], SiteTurns::kBoardsOfAPeer);
  const SiteTurns::Answer late = Find("late", serving);
  EXPECT_FALSE(late.go || late.peer) << "it waits, and does not use the link";
  turns_.Fetched(DeviceId("b0"), ArtifactId("model"), now_);
  EXPECT_TRUE(Find("late", serving).peer.has_value());
}

TEST_F(SiteTurnsTest, ABoardMayAskTheBoardThatItWasSentToForThatArtifactForAWhile) {
  const std::vector<SiteTurns::Neighbour> serving = {{DeviceId("a"), true}, {DeviceId("z"), true}};
  EXPECT_EQ(Find("b", serving).peer, DeviceId("a"));
  const ArtifactId model("model");
  EXPECT_TRUE(turns_.WasSent(DeviceId("b"), DeviceId("a"), model, now_));
  EXPECT_FALSE(turns_.WasSent(DeviceId("b"), DeviceId("a"), ArtifactId("data"), now_));
  EXPECT_FALSE(turns_.WasSent(DeviceId("b"), DeviceId("z"), model, now_));
  EXPECT_FALSE(turns_.WasSent(DeviceId("c"), DeviceId("a"), model, now_));
  After(SiteTurns::kSentFor + absl::Seconds(1));
  EXPECT_FALSE(turns_.WasSent(DeviceId("b"), DeviceId("a"), model, now_));
}

// Boards of one site that need one model at the same moment, second by second: boards with a turn
// share the link, and boards that are served share the radio of the serving board.
class Barn {
 public:
  explicit Barn(int boards) : boards_(static_cast<size_t>(boards)) {}

  // Until all have it. cut_at: the first board loses its power then, for good.
  void Run(absl::Duration cut_at = absl::InfiniteDuration()) {
    for (int second = 0; second < 100'000 && whole_ < boards_.size(); ++second) {
      const Monotonic now(absl::Seconds(second));
      if (absl::Seconds(second) >= cut_at && !boards_[0].whole) {
        boards_[0].is_cut = true;
        ++whole_;
        cut_at = absl::InfiniteDuration();
      }
      Ask(now);
      Move(now);
      seconds_ = second;
    }
  }
  [[nodiscard]] double uplink_copies() const { return uplink_bytes_ / kModelBytes; }
  [[nodiscard]] int seconds() const { return seconds_; }
  [[nodiscard]] size_t whole() const { return whole_; }

 private:
  static constexpr double kLinkBytesPerSecond = 1.2e6;
  static constexpr double kRadioBytesPerSecond = 8e6;
  struct Board {
    double bytes = 0;
    bool whole = false;
    bool is_cut = false;
    bool go = false;
    std::optional<size_t> peer;
    Monotonic asks;
  };
  static DeviceId NameOf(size_t i) { return DeviceId(absl::StrCat("board", i)); }

  void Ask(Monotonic now) {
    std::vector<SiteTurns::Neighbour> serving;
    for (size_t i = 0; i < boards_.size(); ++i) {
      if (!boards_[i].is_cut) {
        serving.push_back({NameOf(i), boards_[i].whole});
      }
    }
    for (size_t i = 0; i < boards_.size(); ++i) {
      Board& board = boards_[i];
      if (board.whole || board.is_cut || board.go || now < board.asks) {
        continue;
      }
      const SiteTurns::Answer answer =
          turns_.Find({NameOf(i), "barn", ArtifactId("model"), kModelBytes}, serving, now);
      board.go = answer.go;
      board.peer = std::nullopt;
      board.asks = now + (answer.peer ? absl::Minutes(1) : answer.wait);
      for (size_t j = 0; answer.peer && j < boards_.size(); ++j) {
        if (NameOf(j) == *answer.peer) {
          board.peer = j;
        }
      }
    }
  }
  void Move(Monotonic now) {
    std::map<size_t, int> served;
    int going = 0;
    for (const Board& board : boards_) {
      going += board.go && !board.is_cut && !board.whole ? 1 : 0;
      if (board.peer && !board.whole) {
        ++served[*board.peer];
      }
    }
    for (size_t i = 0; i < boards_.size(); ++i) {
      Board& board = boards_[i];
      if (board.whole || board.is_cut || (!board.go && !board.peer)) {
        continue;
      }
      const double came =
          board.go ? kLinkBytesPerSecond / going : kRadioBytesPerSecond / served[*board.peer];
      board.bytes += came;
      if (board.go) {
        uplink_bytes_ += came;
        turns_.Read(NameOf(i), static_cast<int64_t>(came), now);
      }
      if (board.bytes >= kModelBytes) {
        board.whole = true;
        ++whole_;
        turns_.Fetched(NameOf(i), ArtifactId("model"), now);
      }
    }
  }

  SiteTurns turns_{2};
  std::vector<Board> boards_;
  size_t whole_ = 0;
  double uplink_bytes_ = 0;
  int seconds_ = 0;
};

TEST(BarnTest, FortyBoardsThatWantOneModelTakeOneCopyOverTheLink) {
  Barn barn(40);
  barn.Run();
  EXPECT_EQ(barn.whole(), 40u);
  EXPECT_LE(barn.uplink_copies(), 1.1);
  // 500 s over the link, then a few rounds from board to board. Over only the link: 20,000 s.
  EXPECT_LE(barn.seconds(), 2500);
  std::printf("40 boards: %.3f copies over the link, all have it after %d s\n",
              barn.uplink_copies(), barn.seconds());
}

TEST(BarnTest, TheNextBoardFetchesWhenTheFirstIsCutOff) {
  Barn barn(40);
  barn.Run(/*cut_at=*/absl::Seconds(100));
  EXPECT_EQ(barn.whole(), 40u);
  EXPECT_LE(barn.uplink_copies(), 1.3) << "a fifth of a copy was in the first board";
}

}  // namespace
}  // namespace wattle::core
