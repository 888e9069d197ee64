// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The readers of a tokenizer.model, of the files beside vocab.json, of a chat template, chat data
// and a GGUF file, under clang's libFuzzer (./dev fuzz). The first byte of an input selects the
// reader of the rest.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/file.h"
#include "formats/byte_pair_encoding.h"
#include "formats/chat.h"
#include "formats/gguf.h"
#include "formats/gguf_tokenizer.h"
#include "formats/jinja.h"
#include "formats/json.h"
#include "formats/testing/small_model_internal.h"

namespace wattle::formats {
namespace {

void ReadTokenizer(const std::string& bytes) {
  const auto tokenizer = BytePairEncoding::ParseSentencePiece({.model = bytes}, "tokenizer.model");
  if (tokenizer.ok()) {
    const std::string text = "the <sep>sun\n\n 東\xff";
    (void)tokenizer->Decode(tokenizer->Encode(text, SpecialTokens::kRecognise));
  }
}

// The files beside a vocabulary, with a 0 between them.
constexpr const char* kSettingsFiles[] = {"tokenizer_config.json", "special_tokens_map.json",
                                          "added_tokens.json", "config.json"};

void ReadSettings(const std::string& bytes) {
  std::map<std::string, std::string> files = {{"vocab.json", SmallVocabulary().dump()},
                                              {"merges.txt", kSmallMerges}};
  size_t start = 0;
  for (const char* name : kSettingsFiles) {
    const size_t end = std::min(bytes.find('\0', start), bytes.size());
    if (end > start) {
      files[name] = bytes.substr(start, end - start);
    }
    start = std::min(end + 1, bytes.size());
  }
  const auto tokenizer = BytePairEncoding::LoadFiles(
      [&](absl::string_view name) -> absl::StatusOr<std::optional<std::string>> {
        const auto found = files.find(std::string(name));
        return found == files.end() ? std::nullopt : std::optional(found->second);
      },
      "m");
  if (tokenizer.ok()) {
    const std::string text = "the <|turn|>  an\n\n 東\xff";
    (void)tokenizer->Decode(tokenizer->Encode(text, SpecialTokens::kRecognise));
  }
}

void RunTemplate(const std::string& text) {
  const auto parsed = JinjaTemplate::Parse(text, "template");
  if (parsed.ok()) {
    static const auto& variables = *new nlohmann::ordered_json(
        nlohmann::ordered_json::parse(R"({"bos_token": "<s>", "eos_token": "</s>", "tools": null,
            "add_generation_prompt": true, "messages": [{"role": "user", "content": "a b"},
            {"role": "assistant", "content": "é"}]})"));
    (void)parsed->Render(variables).ok();  // any answer but a crash will do
  }
}

void ReadGguf(const std::string& bytes) {
  const auto header =
      ParseGgufHeader("m.gguf", {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()},
                      static_cast<int64_t>(bytes.size()));
  if (header.ok()) {
    for (const GgufTensor& tensor : header->tensors) {
      WATTLE_CHECK(header->data_start_bytes + tensor.offset_bytes + tensor.size_bytes() <=
                       static_cast<int64_t>(bytes.size()),
                   "an accepted tensor lies inside the file");
    }
    (void)TokenizerFilesOfGguf(header->metadata, "m.gguf").ok();  // any answer but a crash will do
  }
}

// Valid files to begin with, into $WATTLE_FUZZ_CORPUS.
void WriteCorpus() {
  const char* corpus = std::getenv("WATTLE_FUZZ_CORPUS");
  if (corpus == nullptr) {
    return;
  }
  const std::string golden = absl::StrCat(WATTLE_SOURCE_DIR, "/tests/golden/");
  const auto write = [&](const std::string& name, char reader, const std::string& content) {
    std::ofstream(absl::StrCat(corpus, "/", name), std::ios::binary) << reader << content;
  };
  const auto model = ReadWholeFile(golden + "tokenizer/spm_own.model");
  const auto chat = ReadWholeFile(golden + "chat/expected.json");
  WATTLE_CHECK(model.ok() && chat.ok(), "the goldens are there");
  write("tokenizer", 0, *model);
  const auto older = ReadWholeFile(golden + "tokenizer/older_files.expected.json");
  WATTLE_CHECK(older.ok(), "the goldens are there");
  const Json kinds = Json::parse(*older);
  for (const auto& [name, each] : kinds.items()) {
    std::string content;
    for (const char* file : kSettingsFiles) {
      content += each["files"].contains(file) ? each["files"][file].dump() : "";
      content += '\0';
    }
    write(absl::StrCat("settings-", name), 4, content);
  }
  for (const char* name : {"tokenizer_gpt2", "tokenizer_spm_own", "types"}) {
    const auto gguf = ReadWholeFile(absl::StrCat(golden, "gguf/", name, ".gguf"));
    WATTLE_CHECK(gguf.ok(), "the goldens are there");
    write(absl::StrCat("gguf-", name), 3, *gguf);
  }
  const Json templates = Json::parse(*chat);
  for (const auto& [name, each] : templates.items()) {
    write(name, 1, each["template"].get<std::string>());
  }
  write(
      "chat", 2,
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})");
}

}  // namespace
}  // namespace wattle::formats

extern "C" int LLVMFuzzerInitialize(int* /*count*/, char*** /*arguments*/) {
  wattle::formats::WriteCorpus();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 0:
      wattle::formats::ReadTokenizer(rest);
      break;
    case 1:
      wattle::formats::RunTemplate(rest);
      break;
    case 3:
      wattle::formats::ReadGguf(rest);
      break;
    case 4:
      wattle::formats::ReadSettings(rest);
      break;
    default:
      (void)wattle::formats::ParseChat(rest, "chat.jsonl").ok();  // any answer but a crash will do
      break;
  }
  return 0;
}
