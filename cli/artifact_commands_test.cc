// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Push and pull through the real transfer code against a fake coordinator.
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "base/testing/status_matchers.h"
#include "formats/safetensors.h"
#include "models/decoder_config.h"
#include "models/tensors.h"

namespace wattle::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kConfig[] =
    R"({"model_type": "gpt2", "vocab_size": 257, "n_embd": 8, "n_head": 2,
  "n_layer": 2, "n_positions": 16, "bos_token_id": 256, "eos_token_id": 256})";

constexpr char kSquad[] = R"({"version": "v2.0", "data": [{"title": "t", "paragraphs": [
  {"context": "A mast has one panel.", "qas": [
    {"id": "1", "question": "How many panels?", "is_impossible": false,
     "answers": [{"text": "one", "answer_start": 11}]},
    {"id": "2", "question": "Who sells it?", "is_impossible": true, "answers": []}]}]}]})";

// GPT-2's 256 byte symbols and the end of text.
std::string Vocabulary() {
  nlohmann::json vocabulary;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool itself =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const unsigned code = itself ? byte : next++;
    std::string symbol;
    if (code >= 0x80) {
      symbol.push_back(static_cast<char>(0xc0U | (code >> 6U)));
    }
    symbol.push_back(static_cast<char>(code >= 0x80 ? 0x80U | (code & 0x3fU) : code));
    vocabulary[symbol] = byte;
  }
  vocabulary["<|endoftext|>"] = 256;
  return vocabulary.dump();
}

class ArtifactCommandsTest : public ProgramTest {
 protected:
  // A model directory with a file beside it that does not belong to the model.
  std::string WriteModel() {
    Write("model/config.json", kConfig);
    Write("model/vocab.json", Vocabulary());
    Write("model/merges.txt", "#version: 0.2\n");
    Write("model/pytorch_model.bin", "the same weights again");
    const auto config = models::ParseDecoderConfig(kConfig, "config.json");
    EXPECT_THAT(config, IsOk());
    const auto tensors = models::CheckpointTensors(*config);
    auto writer = formats::SafetensorsWriter::Create(Path("model/model.safetensors"), tensors);
    EXPECT_THAT(writer, IsOk());
    for (const formats::TensorDescription& tensor : tensors) {
      const std::vector<std::byte> zeros(static_cast<size_t>(tensor.size_bytes()));
      EXPECT_THAT(writer->Write(tensor.name, zeros), IsOk());
    }
    EXPECT_THAT(writer->Commit(), IsOk());
    return Path("model");
  }
};

TEST_F(ArtifactCommandsTest, DataIsSentWithItsStatistics) {
  const Result result = Run({"data", "push", "masts", Write("masts.json", kSquad)});
  ASSERT_EQ(result.code, 0) << result.err;
  const v1::ArtifactInfo& sent = coordinator_.state().artifacts.at(0);
  EXPECT_EQ(sent.kind(), v1::ARTIFACT_KIND_DATASET);
  EXPECT_EQ(sent.name(), "masts");
  EXPECT_EQ(sent.dataset().format(), "squad");
  EXPECT_EQ(sent.dataset().examples(), 2);
  EXPECT_EQ(sent.dataset().answerable(), 1);
  EXPECT_THAT(sent.dataset().byte_length_quantiles(), SizeIs(33));
  EXPECT_THAT(result.out, StartsWith("data masts: "));
  EXPECT_THAT(result.out, HasSubstr("squad, 2 (1 answerable) examples"));
}

// ChatML around each message: <|im_start|>, the bytes of the role and a line end before the
// content, <|im_end|> and a line end after it.
TEST_F(ArtifactCommandsTest, AChatModelIsSentWithTheTokensOfItsTemplate) {
  const Result result =
      Run({"model", "push", "chat", absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/chat/model")});
  ASSERT_EQ(result.code, 0) << result.err;
  const v1::ArtifactInfo& sent = coordinator_.state().artifacts.at(0);
  EXPECT_DOUBLE_EQ(sent.chat_template().per_message(), 4 + (4 + 9) / 2.0);
  EXPECT_DOUBLE_EQ(sent.chat_template().per_conversation(), 0);
  EXPECT_NEAR(sent.chat_template().before_answer(), 1 + 9 + 1 + (4 - 9) / 2.0, 1e-9);
  ASSERT_EQ(Run({"model", "push", "base", WriteModel()}).code, 0);
  EXPECT_FALSE(coordinator_.state().artifacts.at(1).has_chat_template());
}

TEST_F(ArtifactCommandsTest, DataComesBackWhole) {
  const std::string file = Write("masts.json", kSquad);
  ASSERT_EQ(Run({"data", "push", "masts", file}).code, 0);
  const Result pulled = Run({"data", "pull", "masts", Path("copy")});
  ASSERT_EQ(pulled.code, 0) << pulled.err;
  EXPECT_EQ(fs::file_size(Path("copy/masts.json")), fs::file_size(file));
  EXPECT_EQ(Run({"data", "pull", "masts", Path("copy")}).code, 5);
}

TEST_F(ArtifactCommandsTest, AGgufFileTravelsWithWhatItsMetadataSays) {
  const std::string golden = absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/gguf/llama_tiny.gguf");
  const Result pushed = Run({"model", "push", "tiny", golden});
  ASSERT_EQ(pushed.code, 0) << pushed.err;
  const v1::ArtifactInfo& sent = coordinator_.state().artifacts.at(0);
  EXPECT_EQ(sent.model_shape().architecture(), "llama");
  EXPECT_EQ(sent.quantization(), "none");
  std::vector<std::string> paths;
  for (const v1::ManifestFile& file : coordinator_.state().manifests.begin()->second.files()) {
    paths.push_back(file.path());
  }
  EXPECT_THAT(paths,
              ElementsAre("config.json", "model.gguf", "tokenizer.model", "tokenizer_config.json"));
  ASSERT_EQ(Run({"model", "pull", "tiny", Path("copy")}).code, 0);
  EXPECT_EQ(fs::file_size(Path("copy/model.gguf")), fs::file_size(golden));
  // The pulled directory is a model again, and so is one that holds only the file.
  EXPECT_EQ(Run({"model", "push", "again", Path("copy")}).code, 0);
  fs::create_directories(Path("alone"));
  fs::copy_file(golden, Path("alone/x.gguf"));
  EXPECT_EQ(Run({"model", "push", "alone", Path("alone")}).code, 0);
  EXPECT_EQ(coordinator_.state().manifests.size(), 1U) << "the same files each time";
}

TEST_F(ArtifactCommandsTest, AModelIsWrittenAsAGgufFileThatIsAModelAgain) {
  ASSERT_EQ(Run({"model", "push", "tiny", WriteModel()}).code, 0);
  const Result exported = Run({"model", "export", "tiny", "--gguf", Path("tiny.gguf")});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_THAT(exported.out, StartsWith(Path("tiny.gguf") + ": model tiny: "));
  ASSERT_EQ(Run({"model", "push", "again", Path("tiny.gguf")}).code, 0);
  EXPECT_EQ(coordinator_.state().artifacts.at(1).model_shape().SerializeAsString(),
            coordinator_.state().artifacts.at(0).model_shape().SerializeAsString());
  const Result over = Run({"model", "export", "tiny", "--gguf", Path("tiny.gguf")});
  EXPECT_EQ(over.code, 5);
  EXPECT_THAT(over.err, HasSubstr("is there already; remove it or choose another file"));
  ASSERT_EQ(Run({"model", "export", "tiny", "--gguf", Path("half.gguf"), "--type", "f16"}).code, 0);
  EXPECT_LT(fs::file_size(Path("half.gguf")), fs::file_size(Path("tiny.gguf")));
  EXPECT_EQ(Run({"model", "export", "tiny", "--gguf", Path("x.gguf"), "--type", "q4_1"}).code, 2);
}

TEST_F(ArtifactCommandsTest, WhatIsNotWrittenAsAGgufFileIsNamedByItsReference) {
  const auto refused = [&](const std::string& name, int code) {
    const Result result = Run({"model", "export", name, "--gguf", Path("x.gguf")});
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_THAT(result.err, StartsWith(absl::StrCat("wattle: ", name, ": ")));
    EXPECT_FALSE(fs::exists(Path("x.gguf")));
    return result.err;
  };
  ASSERT_EQ(Run({"data", "push", "masts", Write("masts.json", kSquad)}).code, 0);
  EXPECT_THAT(refused("masts", 2), HasSubstr("is no model"));
  const std::string directory = WriteModel();
  ASSERT_EQ(Run({"model", "push", "tiny", directory}).code, 0);
  coordinator_.state().artifacts.at(1).set_quantization("int8");
  EXPECT_THAT(refused("tiny", 5), HasSubstr("is quantized (int8), and GGUF has no blocks"));
  // A finding about the files also names the reference.
  Write("model/tokenizer_config.json", R"({"chat_template": 1})");
  ASSERT_EQ(Run({"model", "push", "other", directory}).code, 0);
  EXPECT_THAT(Run({"model", "export", "other", "--gguf", Path("x.gguf")}).err,
              StartsWith("wattle: other/tokenizer_config.json: "));
}

TEST_F(ArtifactCommandsTest, ADamagedGgufFileIsRefusedByItsPath) {
  const std::string path = Write("m.gguf", "GGUF");
  const Result refused = Run({"model", "push", "tiny", path});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("m.gguf: the version: its 4 bytes from byte 4 on leave the "
                                     "file of 4 bytes"));
  EXPECT_TRUE(coordinator_.state().artifacts.empty());
}

TEST_F(ArtifactCommandsTest, OnlyTheFilesOfTheModelTravelAndComeBackWhole) {
  const std::string directory = WriteModel();
  const Result pushed = Run({"model", "push", "tiny", directory});
  ASSERT_EQ(pushed.code, 0) << pushed.err;
  const v1::ArtifactInfo& sent = coordinator_.state().artifacts.at(0);
  EXPECT_EQ(sent.model_shape().layers(), 2);
  EXPECT_EQ(sent.quantization(), "none");
  std::vector<std::string> paths;
  for (const v1::ManifestFile& file : coordinator_.state().manifests.begin()->second.files()) {
    paths.push_back(file.path());
  }
  EXPECT_THAT(paths, ElementsAre("config.json", "merges.txt", "model.safetensors", "vocab.json"));

  const Result pulled = Run({"model", "pull", "tiny", Path("copy")});
  ASSERT_EQ(pulled.code, 0) << pulled.err;
  EXPECT_EQ(fs::file_size(Path("copy/model.safetensors")),
            fs::file_size(Path("model/model.safetensors")));
  const Result again = Run({"model", "pull", "tiny", Path("copy")});
  EXPECT_EQ(again.code, 5);
  EXPECT_THAT(again.err, HasSubstr("is there already; remove it or choose another directory"));
}

TEST_F(ArtifactCommandsTest, TruncatedWeightsAreRefusedAndNothingIsSent) {
  const std::string directory = WriteModel();
  const std::string weights = directory + "/model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) - 5);
  const Result result = Run({"model", "push", "tiny", directory});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, StartsWith("wattle: "));
  EXPECT_THAT(result.err, HasSubstr("model.safetensors"));
  EXPECT_THAT(coordinator_.state().chunks, IsEmpty());
}

TEST_F(ArtifactCommandsTest, ADamagedArtifactLeavesNothingBehind) {
  ASSERT_EQ(Run({"model", "push", "tiny", WriteModel()}).code, 0);
  for (auto& [sha256, data] : coordinator_.state().chunks) {
    data.back() = static_cast<char>(data.back() ^ 1);
  }
  const Result result = Run({"model", "pull", "tiny", Path("copies/one")});
  EXPECT_NE(result.code, 0);
  fs::create_directory(Path("copies"));
  EXPECT_EQ(Run({"model", "pull", "tiny", Path("copies/one")}).code, 6);
  EXPECT_TRUE(fs::is_empty(Path("copies")));
}

TEST_F(ArtifactCommandsTest, ArtifactsAndNamesAreRemoved) {
  EXPECT_EQ(Run({"model", "rm", "tiny"}).out, "removed tiny (aaaaaaaaaaaa), 2.0 KiB\n");
  EXPECT_EQ(Run({"data", "rm", "one-of-two"}).out,
            "removed the name one-of-two; aaaaaaaaaaaa stays under its other names\n");
  EXPECT_EQ(coordinator_.state().artifact_removals.at(0).kind(), v1::ARTIFACT_KIND_MODEL);
  EXPECT_EQ(coordinator_.state().artifact_removals.at(1).kind(), v1::ARTIFACT_KIND_DATASET);
}

TEST_F(ArtifactCommandsTest, WhatCannotSignIsBadInput) {
  const auto refused = [&](const std::string& reference, const std::string& key) {
    const Result result = Run({"model", "sign", reference, "--key", key});
    EXPECT_EQ(result.code, 2) << result.err;
    return result.err;
  };
  EXPECT_THAT(refused("tiny", Path("none.pem")), HasSubstr("none.pem"));
  const std::string key = Write("ann.pem", "secret");
  fs::permissions(key, fs::perms::group_read, fs::perm_options::add);
  EXPECT_THAT(refused("tiny", key),
              HasSubstr("others may read this key; chmod 600 it, and sign with a new one if"));
  EXPECT_THAT(refused("tiny", Write("ann.pub", "-----BEGIN PUBLIC KEY-----\n")),
              HasSubstr("ann.pub: is a public key; --key takes the private one"));
  fs::permissions(key, fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_EQ(Run({"data", "push", "wiki", Write("a.txt", "some text\n")}).code, 0);
  EXPECT_THAT(refused("wiki", key), HasSubstr("wiki: is a data set; models are signed"));
}

TEST_F(ArtifactCommandsTest, ANameMovesOnlyWhenAsked) {
  const std::string file = Write("a.txt", "some text\n");
  EXPECT_EQ(Run({"data", "push", "wiki", file}).code, 0);
  EXPECT_EQ(Run({"data", "push", "wiki", file, "--move"}).code, 0);
  EXPECT_FALSE(coordinator_.state().commits.at(0).move_name());
  EXPECT_TRUE(coordinator_.state().commits.at(1).move_name());
}

}  // namespace
}  // namespace wattle::cli
