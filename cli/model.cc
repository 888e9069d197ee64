// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle model push|ls|pull|export|sign|rm. push checks the whole model before it sends a byte, and
// sends only the files that belong to it.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/artifact_commands.h"
#include "cli/artifact_view.h"
#include "cli/session.h"
#include <CLI/App.hpp>

#include "artifacts/signers/signers.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/tls/private_file.h"
#include "formats/byte_pair_encoding.h"
#include "formats/chat_examples.h"
#include "formats/chat_template.h"
#include "models/gguf_directory.h"
#include "models/model_directory.h"

namespace wattle::cli {
namespace {

namespace fs = std::filesystem;

struct ModelFlags {
  std::string name;
  std::string path;  // of a directory, or of a GGUF file
  bool move_name = false;
  std::string project;
};

// A new directory for the files to send.
absl::StatusOr<std::string> MakeStagingDirectory() {
  std::error_code error;
  std::string staged = (fs::temp_directory_path(error) / "wattle-model-XXXXXX").string();
  if (error || mkdtemp(staged.data()) == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat(staged, ": cannot make a directory; set TMPDIR to one that is writable"));
  }
  return staged;
}

// Fills a directory with links to the files that belong to the model. A checkout often has the same
// weights in several other formats, which must not be sent.
absl::Status LinkFiles(const std::string& directory, const models::ModelDirectory& model,
                       const std::string& staged) {
  std::error_code error;
  for (const std::string& file : model.files) {
    fs::create_symlink(fs::absolute(fs::path(directory) / file), fs::path(staged) / file, error);
    if (error) {
      return absl::InternalError(absl::StrCat(staged, "/", file, ": ", error.message()));
    }
  }
  return absl::OkStatus();
}

// Checks the model at `path` and fills `staged` with the files to send.
absl::StatusOr<models::ModelDirectory> StageModel(const std::string& path,
                                                  const std::string& staged) {
  const auto gguf = models::FindGguf(path);
  WATTLE_RETURN_IF_ERROR(AsBadInput(gguf.status()));
  if (gguf->has_value()) {
    WATTLE_RETURN_IF_ERROR(AsBadInput(models::ImportGguf(**gguf, staged)));
  }
  auto model = models::InspectModelDirectory(gguf->has_value() ? staged : path);
  WATTLE_RETURN_IF_ERROR(AsBadInput(model.status()));
  if (!gguf->has_value()) {
    WATTLE_RETURN_IF_ERROR(LinkFiles(path, *model, staged));
  }
  return model;
}

// The values that a plan needs for conversations. Left out for a model without a chat template, or
// with one that this version cannot run or that refuses a plain conversation; the error of a chat
// job gives the reason.
void DescribeChatTemplate(const std::string& directory, v1::ArtifactInfo& info) {
  const auto chat_template = formats::ChatTemplate::LoadDirectory(directory);
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(directory);
  if (!chat_template.ok() || !tokenizer.ok()) {
    return;
  }
  if (auto tokens = formats::MeasureChatTemplate(*chat_template, *tokenizer); tokens.ok()) {
    *info.mutable_chat_template() = *std::move(tokens);
  }
}

absl::StatusOr<ExitCode> Push(Session& session, const ModelFlags& flags) {
  WATTLE_RETURN_IF_ERROR(CheckArtifactName(flags.name));
  WATTLE_ASSIGN_OR_RETURN(const std::string staged, MakeStagingDirectory());
  const absl::Cleanup remove = [&staged] {
    std::error_code ignored;  // links in a temporary directory
    fs::remove_all(staged, ignored);
  };
  WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory model, StageModel(flags.path, staged));
  v1::ArtifactInfo info;
  info.set_kind(v1::ARTIFACT_KIND_MODEL);
  info.set_name(flags.name);
  *info.mutable_model_shape() = model.shape();
  info.set_parameter_count(model.parameter_count());
  info.set_quantization(model.quantization());
  *info.mutable_recipe() = model.stored_recipe;
  DescribeChatTemplate(staged, info);
  for (const std::string& tensor : model.ignored_tensors) {
    session.PrintRemark(
        absl::StrCat("tensor ", tensor, " is not part of the model and is not read"));
  }
  WATTLE_ASSIGN_OR_RETURN(
      const v1::ArtifactInfo pushed,
      session.client().PushArtifact(staged, info, flags.move_name, flags.project));
  session.Print(pushed, [&] { return RenderPushed(pushed); });
  return ExitCode::kOk;
}

struct ExportFlags {
  std::string reference;
  std::string gguf;
  std::string type = "f32";
};

formats::GgufType TypeNamed(absl::string_view name) {
  return name == "f16"    ? formats::GgufType::kF16
         : name == "q8_0" ? formats::GgufType::kQ8_0
         : name == "q4_0" ? formats::GgufType::kQ4_0
                          : formats::GgufType::kF32;
}

// The checks that do not need the artifact's files.
absl::Status CheckExport(const v1::ArtifactInfo& artifact, const ExportFlags& flags) {
  if (!artifact.has_model_shape()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags.reference, ": is no model; a GGUF file is made of a model"));
  }
  if (!artifact.quantization().empty() && artifact.quantization() != "none") {
    return absl::FailedPreconditionError(
        absl::StrCat(flags.reference, ": is quantized (", artifact.quantization(),
                     "), and GGUF has no blocks for its codes; export the model that it was made "
                     "from, with --type q8_0 for 8 bits"));
  }
  std::error_code error;
  if (fs::exists(flags.gguf, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(flags.gguf, ": is there already; remove it or choose another file"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Export(Session& session, const ExportFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ArtifactInfo artifact,
                          session.client().Call(&ArtifactStub::ResolveArtifact, flags.reference));
  WATTLE_RETURN_IF_ERROR(CheckExport(artifact, flags));
  WATTLE_ASSIGN_OR_RETURN(const std::string staged, MakeStagingDirectory());
  const absl::Cleanup remove = [&staged] {
    std::error_code ignored;  // a copy in a temporary directory
    fs::remove_all(staged, ignored);
  };
  const std::string directory = staged + "/model";
  WATTLE_RETURN_IF_ERROR(session.client().PullArtifact(artifact.artifact_id(), directory));
  const absl::Status written = models::ExportGguf(directory, flags.gguf, TypeNamed(flags.type));
  // The error names the reference, because the user does not know the copy.
  WATTLE_RETURN_IF_ERROR(absl::Status(
      written.code(), absl::StrReplaceAll(written.message(), {{directory, flags.reference}})));
  session.Print(artifact, [&] { return absl::StrCat(flags.gguf, ": ", RenderPushed(artifact)); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ListModels(Session& session) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ListArtifactsResponse all,
                          session.client().ListArtifacts(v1::ARTIFACT_KIND_UNSPECIFIED));
  v1::ListArtifactsResponse models;  // also outputs of jobs that are models
  for (const v1::ArtifactInfo& artifact : all.artifacts()) {
    if (artifact.kind() == v1::ARTIFACT_KIND_MODEL ||
        (artifact.kind() == v1::ARTIFACT_KIND_RESULT && artifact.has_model_shape())) {
      *models.add_artifacts() = artifact;
    }
  }
  session.Print(models, [&] { return RenderModels(models, session.Now(), session.style()); });
  return ExitCode::kOk;
}

void AddExport(CLI::App* noun, CommandSlot* slot) {
  const auto flags = std::make_shared<ExportFlags>();
  CLI::App* exported =
      AddLeaf(noun, "export",
              "Write a model, or a job's output that is one, as a GGUF file that "
              "llama.cpp reads.",
              "  wattle model export gpt2 --gguf gpt2.gguf\n"
              "  wattle model export job:j12/output --gguf tuned.gguf --type f16\n");
  exported->add_option("REFERENCE", flags->reference, "Name, id, or job:ID/output")->required();
  exported->add_option("--gguf", flags->gguf, "The file to write")->required()->type_name("FILE");
  exported->add_option("--type", flags->type, "Of the matrices: f32 (default), f16, q8_0 or q4_0")
      ->type_name("GGUF_TYPE")
      ->check(CLI::IsMember({"f32", "f16", "q8_0", "q4_0"}).description(""));
  slot->Bind(exported, [flags](Session& session) { return Export(session, *flags); });
}

struct SignFlags {
  std::string reference;
  std::string key_path;
  std::string signer;
};

// Reads the private key. Rejects a public key before checking the file mode, because everyone may
// read a public key.
absl::StatusOr<std::string> ReadSignersKey(const std::string& path) {
  constexpr int64_t kKeyBytesMax = 16 << 10;
  if (const auto text = ReadWholeFile(path, kKeyBytesMax);
      text.ok() && absl::StrContains(*text, "BEGIN PUBLIC KEY")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a public key; --key takes the private one"));
  }
  absl::StatusOr<std::string> key =
      tls::ReadPrivateFile(path, {.what = "key", .remedy = "sign with a new one"});
  WATTLE_RETURN_IF_ERROR(AsBadInput(key.status()));
  return key;
}

// Signs the id, which is the hash of all files, so the key stays on this machine.
absl::StatusOr<ExitCode> Sign(Session& session, const SignFlags& flags) {
  WATTLE_ASSIGN_OR_RETURN(const std::string key, ReadSignersKey(flags.key_path));
  WATTLE_ASSIGN_OR_RETURN(const v1::ArtifactInfo info,
                          session.client().Call(&ArtifactStub::ResolveArtifact, flags.reference));
  if (info.kind() == v1::ARTIFACT_KIND_DATASET || info.kind() == v1::ARTIFACT_KIND_RELEASE) {
    return absl::InvalidArgumentError(absl::StrCat(
        flags.reference, ": is a ",
        info.kind() == v1::ARTIFACT_KIND_DATASET ? "data set" : "release", "; models are signed"));
  }
  const std::string signer =
      flags.signer.empty() ? fs::path(flags.key_path).stem().string() : flags.signer;
  auto signature = artifacts::SignArtifact(key, signer, info.artifact_id());
  WATTLE_RETURN_IF_ERROR(WithContext(flags.key_path, signature.status()));
  v1::SignArtifactRequest request;
  request.set_reference(info.artifact_id());
  *request.mutable_signature() = *std::move(signature);
  WATTLE_ASSIGN_OR_RETURN(const v1::ArtifactInfo signed_info,
                          session.client().Call(&ArtifactStub::SignArtifact, request));
  session.Print(signed_info, [&] {
    return absl::StrCat("signed ", flags.reference, " (", info.artifact_id().substr(0, 12), ") as ",
                        signer, "\n");
  });
  return ExitCode::kOk;
}

void AddSign(CLI::App* noun, CommandSlot* slot) {
  const auto flags = std::make_shared<SignFlags>();
  CLI::App* sign = AddLeaf(noun, "sign",
                           "Sign a model with a key of yours, for coordinators and boards that run "
                           "signed models alone.",
                           "  wattle model sign gpt2 --key ~/ann.pem\n"
                           "  wattle model sign job:j12/output --key ~/ann.pem --signer ann\n");
  sign->add_option("REFERENCE", flags->reference, "Name, id, or job:ID/output")->required();
  sign->add_option("--key", flags->key_path,
                   "Private key of P-256 or Ed25519 (PEM, no password, mode 0600)")
      ->required();
  sign->add_option("--signer", flags->signer,
                   "Name of the public key's file among the signers; default: the key's file name "
                   "without its ending");
  slot->Bind(sign, [flags](Session& session) { return Sign(session, *flags); });
}

}  // namespace

absl::Status CheckArtifactName(const std::string& name) {
  const auto allowed = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  };
  const auto hexadecimal = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (name.empty() || name.size() > 80 || !std::all_of(name.begin(), name.end(), allowed)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name \"", name, "\": wants 1 to 80 letters, digits, '.', '_' or '-', for example gpt2"));
  }
  if (name.size() >= 8 && std::all_of(name.begin(), name.end(), hexadecimal)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name \"", name, "\": looks like an id; add a letter after f"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> RemoveArtifact(Session& session, const std::string& reference,
                                        v1::ArtifactKind kind) {
  v1::RemoveArtifactRequest request;
  request.set_reference(reference);
  request.set_kind(kind);
  WATTLE_ASSIGN_OR_RETURN(const v1::RemoveArtifactResponse removed,
                          session.client().Call(&ArtifactStub::RemoveArtifact, request));
  session.Print(removed, [&] { return RenderRemoved(removed); });
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> PullArtifact(Session& session, const std::string& reference,
                                      const std::string& directory) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ArtifactInfo artifact,
                          session.client().Call(&ArtifactStub::ResolveArtifact, reference));
  WATTLE_RETURN_IF_ERROR(session.client().PullArtifact(artifact.artifact_id(), directory));
  session.Print(artifact, [&] { return absl::StrCat(directory, ": ", RenderPushed(artifact)); });
  return ExitCode::kOk;
}

void AddModelCommands(CLI::App* app, CommandSlot* slot) {
  CLI::App* noun =
      AddGroup(app, "model", "Models and what jobs made of them: push, ls, pull, export, sign, rm.",
               "  wattle model push gpt2 ./gpt2\n"
               "  wattle model ls\n");
  const auto push_flags = std::make_shared<ModelFlags>();
  CLI::App* push =
      AddLeaf(noun, "push",
              "Check a Hugging Face directory or a GGUF file and store it under a name. --move "
              "takes a name that another artifact has.",
              "  wattle model push gpt2 ./gpt2\n"
              "  wattle model push qwen ./qwen2.5-0.5b-q8_0.gguf\n"
              "  wattle model push gpt2 ./gpt2-new --move\n");
  push->add_option("NAME", push_flags->name, "Name that job files use")->required();
  push->add_option("PATH", push_flags->path,
                   "Directory with config.json, model.safetensors and a tokenizer, or a .gguf file")
      ->required();
  push->add_flag("--move", push_flags->move_name,
                 "Take the name from the artifact that has it; that one keeps its other names");
  push->add_option("--project", push_flags->project, "Whose members may read it; default: default")
      ->type_name("NAME");
  slot->Bind(push, [push_flags](Session& session) { return Push(session, *push_flags); });
  slot->Bind(AddLeaf(noun, "ls", "List models, newest first, with those that jobs made.",
                     "  wattle model ls\n"),
             ListModels);
  const auto pull_flags = std::make_shared<ModelFlags>();
  CLI::App* pull = AddLeaf(noun, "pull",
                           "Fetch a model or a job's output into a new directory, whole or not at "
                           "all.",
                           "  wattle model pull gpt2 ./gpt2-copy\n"
                           "  wattle model pull job:j12/output ./tuned\n");
  pull->add_option("REFERENCE", pull_flags->name, "Name, id, or job:ID/output")->required();
  pull->add_option("DIRECTORY", pull_flags->path, "Must not be there yet")->required();
  slot->Bind(pull, [pull_flags](Session& session) {
    return PullArtifact(session, pull_flags->name, pull_flags->path);
  });
  AddExport(noun, slot);
  AddSign(noun, slot);
  const auto removed = std::make_shared<std::string>();
  CLI::App* remove = AddLeaf(noun, "rm",
                             "Remove a name, and with its last name the model. Refused while an "
                             "open job needs it.",
                             "  wattle model rm gpt2-old\n"
                             "  wattle model rm job:j12/output\n");
  remove->add_option("REFERENCE", *removed, "Name, id, or job:ID/output")->required();
  slot->Bind(remove, [removed](Session& session) {
    return RemoveArtifact(session, *removed, v1::ARTIFACT_KIND_MODEL);
  });
}

}  // namespace wattle::cli
