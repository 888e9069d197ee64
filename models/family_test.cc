// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/family.h"

#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "formats/gguf.h"

namespace wattle::models {
namespace {

namespace fs = std::filesystem;

// Files in which the name means something other than a family.
const std::map<std::string, std::string>& OtherMeanings() {
  static const auto& files = *new std::map<std::string, std::string>{
      {"proto/model_shape.cc", "the table that family.h speaks of"},
      {"formats/gguf_tokenizer.cc", "names of pre-tokenizers"},
      {"formats/gguf_tokenizer_internal.h", "kinds of tokenizers"},
      {"formats/vocabulary_settings.cc", "the model whose tokenizer a class is"},
      {"formats/testing/small_model_internal.h", "a model for tests"},
      {"cli/testing/sample_jobs.cc", "a model's name in the catalogue"},
      {"cli/testing/sample_messages.cc", "a model's name in the catalogue"},
      {"sim/scenario/scenario_jobs.cc", "a model's name in the catalogue"},
  };
  return files;
}

std::vector<std::string> NamesInQuotes() {
  std::vector<std::string> names;
  for (const Family& family : Families()) {
    names.push_back(absl::StrCat("\"", family.name, "\""));
    if (family.gguf.has_value()) {
      names.push_back(absl::StrCat("\"", family.gguf->architecture, "\""));
    }
    if (family.whole_model.has_value()) {
      names.push_back(absl::StrCat("\"", family.whole_model->model_type, "\""));
    }
  }
  return names;
}

bool IsProduction(const fs::path& file) {
  const std::string name = file.filename().string();
  return (file.extension() == ".cc" || file.extension() == ".h") &&
         !absl::EndsWith(name, "_test.cc") && !absl::StrContains(name, "_for_test") &&
         !absl::StartsWith(name, "test_") && !absl::StrContains(name, "fuzz") &&
         !absl::StartsWith(file.string(), "models/families/");
}

// "models/x.cc:3: "phi"" for each line with a name outside comments. A shape may be made.
std::vector<std::string> LinesWithNames(const std::string& file,
                                        const std::vector<std::string>& names) {
  const auto text = ReadWholeFile(absl::StrCat(WATTLE_SOURCE_DIR, "/", file), 1 << 24);
  EXPECT_THAT(text, IsOk());
  std::vector<std::string> found;
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    const absl::string_view code = line.substr(0, line.find("//"));
    for (const std::string& name : names) {
      if (absl::StrContains(code, name) && !absl::StrContains(code, "set_architecture(\"")) {
        found.push_back(absl::StrCat(file, ":", number, ": ", name));
      }
    }
  }
  return found;
}

TEST(FamilyTest, NoOtherCodeKnowsAFamilyByItsName) {
  const std::vector<std::string> names = NamesInQuotes();
  std::set<std::string> other_meanings;
  int files = 0;
  for (const char* folder : {"base", "units", "proto", "policy", "formats", "models", "artifacts",
                             "telemetry", "scheduler", "sim", "coordinator", "worker", "cli"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(absl::StrCat(WATTLE_SOURCE_DIR, "/", folder))) {
      const fs::path file = fs::relative(entry.path(), WATTLE_SOURCE_DIR);
      if (!IsProduction(file)) {
        continue;
      }
      ++files;
      const std::vector<std::string> found = LinesWithNames(file.string(), names);
      if (OtherMeanings().contains(file.string())) {
        other_meanings.insert(file.string());
        EXPECT_THAT(found, testing::Not(testing::IsEmpty())) << file << " needs no exception";
      } else {
        EXPECT_THAT(found, testing::IsEmpty()) << "belongs into a Family's row: models/family.h";
      }
    }
  }
  EXPECT_EQ(other_meanings.size(), OtherMeanings().size());
  EXPECT_GT(files, 500) << "the folders were found";
}

TEST(FamilyTest, AGgufArchitectureIsReadAsOneFamily) {
  std::map<std::string, int> readers;
  for (const Family& family : Families()) {
    if (family.gguf.has_value()) {
      readers[family.gguf->architecture] += family.gguf->read != nullptr ? 1 : 0;
    }
  }
  for (const auto& [architecture, count] : readers) {
    EXPECT_EQ(count, 1) << architecture;
  }
}

TEST(FamilyTest, ANameOfAPreTokenizerIsReadAsTheOneThatItStandsFor) {
  const auto header = formats::GgufFile::Open(
      absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/gguf/tokenizer_gpt2.gguf"));
  ASSERT_THAT(header, IsOk());
  formats::GgufMetadata metadata = header->header().metadata;
  const auto files = [&](absl::string_view name) {
    metadata["tokenizer.ggml.pre"] = std::string(name);
    const auto read = formats::TokenizerFilesOfGguf(metadata, "m.gguf", GgufPreTokenizerNames());
    EXPECT_THAT(read, IsOk()) << name;
    std::string text;
    for (const formats::NamedFile& file : read.ok() ? *read : std::vector<formats::NamedFile>()) {
      absl::StrAppend(&text, file.content);
    }
    return text;
  };
  std::set<absl::string_view> names;
  for (const formats::GgufPreTokenizerName& more : GgufPreTokenizerNames()) {
    EXPECT_EQ(files(more.name), files(more.same_as)) << more.name;
    EXPECT_TRUE(names.insert(more.name).second) << more.name;
  }
  EXPECT_TRUE(names.contains("stablelm2"));
}

}  // namespace
}  // namespace wattle::models
