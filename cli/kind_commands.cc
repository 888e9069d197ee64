// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle finetune, wattle generate, …, a command for each kind of job: submits a job that flags
// describe. Each flag is a field of a job file; --dry-run prints that job file.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "cli/job_override.h"
#include "cli/session.h"
#include "cli/submit.h"
#include <CLI/App.hpp>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "base/status_macros.h"
#include "formats/job_file.h"
#include "proto/job_kind.h"

namespace wattle::cli {
namespace {

struct FieldFlag {
  std::string flag;        // "--learning-rate 1e-4", for messages
  std::string assignment;  // "finetune.learning_rate=1e-4"
};

struct KindFlags {
  std::vector<FieldFlag> fields;  // in the order of the command line
  std::vector<std::string> prompts;
  std::vector<std::string> stops;
  std::vector<std::string> set;
  SubmitOptions options;
  bool dry_run = false;
};

absl::StatusOr<ExitCode> Run(Session& session, const std::string& kind, const KindFlags& flags) {
  v1::JobSpec spec;
  const google::protobuf::FieldDescriptor* field = v1::JobSpec::descriptor()->FindFieldByName(kind);
  spec.GetReflection()->MutableMessage(&spec, field);  // selects the kind
  for (const FieldFlag& given : flags.fields) {
    if (const absl::Status applied = ApplyOverride(given.assignment, &spec); !applied.ok()) {
      return absl::Status(
          applied.code(),
          absl::StrReplaceAll(applied.message(),
                              {{absl::StrCat("--set ", given.assignment), given.flag}}));
    }
  }
  for (const std::string& prompt : flags.prompts) {
    spec.mutable_generate()->add_prompts(prompt);
  }
  for (const std::string& stop : flags.stops) {
    spec.mutable_generate()->add_stop(stop);
  }
  for (const std::string& assignment : flags.set) {
    WATTLE_RETURN_IF_ERROR(ApplyOverride(assignment, &spec));
  }
  if (flags.dry_run) {
    session.Print(spec, [&] { return formats::JobFileText(spec); });
    return ExitCode::kOk;
  }
  return SubmitSpecs(session, {{"", spec}}, flags.options);
}

// Adds the flag for the most used number of a quality floor; --set covers the others.
void AddFloor(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags) {
  leaf->add_option_function<std::string>(
          "--quality-floor",
          [flags](const std::string& percent) {
            flags->fields.push_back(
                {absl::StrCat("--quality-floor ", percent),
                 absl::StrCat("quality_floor.perplexity_change_percent_max=", percent)});
          },
          "Run the model, or the best by --objective of those quantized from it with at most this "
          "much more perplexity")
      ->type_name("PERCENT");
}

// A field of a job file that has a flag.
struct Field {
  const char* path;  // "finetune.learning_rate"
  const char* type;  // "RATE", in the help
  const char* help;
};

// Adds the flag for a field: --learning-rate for finetune.learning_rate, --lora-rank for
// finetune.lora.rank.
void AddField(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags, const Field& field) {
  const std::string path = field.path;
  // A path without a dot is a field of the job itself.
  const std::string flag = absl::StrCat(
      "--", absl::StrReplaceAll(path.substr(path.find('.') + 1), {{"_", "-"}, {".", "-"}}));
  leaf->add_option_function<std::string>(
          flag,
          [flags, path, flag](const std::string& value) {
            flags->fields.push_back(
                {absl::StrCat(flag, " ", value), absl::StrCat(path, "=", value)});
          },
          field.help)
      ->type_name(field.type);
}

void AddFields(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags,
               absl::Span<const Field> fields) {
  for (const Field& field : fields) {
    AddField(leaf, flags, field);
  }
}

// The help of a kind's command beyond the flags of every kind. A kind without such a row lists its
// inputs.
struct KindHelp {
  v1::JobSpec::KindCase kind_case = v1::JobSpec::KIND_NOT_SET;
  const char* sentence = "";
  const char* examples = "";
  void (*add_flags)(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags) = nullptr;
};

constexpr Field kFinetuneFields[] = {
    {"finetune.data", "DATA", "SQuAD data set or conversations to train on (required)"},
    {"finetune.heldout_data", "DATA", "Data set on which the held-out loss is measured"},
    {"finetune.epochs", "N", "Passes over the data; default 1"},
    {"finetune.steps", "N", "Optimizer steps, instead of epochs"},
    {"finetune.batch_size", "N", "Examples at once; default 8"},
    {"finetune.sequence_length", "N", "Tokens of an example at most; default the model's context"},
    {"finetune.learning_rate", "RATE", "Highest learning rate; default 5e-5"},
    {"finetune.seed", "N", "Seed of the data order and of dropout"},
    {"finetune.lora.rank", "N", "Train adapters (LoRA) of this rank instead of every weight"},
    {"finetune.lora.alpha", "ALPHA", "Adapters count alpha / rank; default: as rank"},
    {"finetune.lora.dropout", "RATE", "Of the adapters' input; default 0"},
    {"finetune.lora.targets", "[NAMES]", "Such as [q_proj, v_proj]; default all-linear"},
    {"finetune.lora.merge", "BOOL", "true: the result is the whole model, adapters added"},
    {"finetune.quantization", "FORM",
     "With adapters: int8, int4 or nf4 for the weights beside them (QLoRA)"},
    {"finetune.last_layers", "N", "Train the last N layers alone, instead of every weight"},
    {"finetune.precision", "PRECISION",
     "fp32 (default), bf16, fp16, or tf32 on a GPU: the factors of matrix products are rounded "
     "to it"},
    {"finetune.weights_precision", "PRECISION",
     "fp32 (default) or bf16: matrices are held in BF16, in half the memory"},
    {"finetune.packing", "BOOL",
     "true: no padding, and a paragraph is computed once for its questions"},
    {"finetune.early_stop_evaluations", "N",
     "End after N evaluations in a row without a lower held-out loss"},
    {"finetune.optimizer", "NAME",
     "adamw (default); adamw_8bit or adafactor: less memory for its state; mezo: forward "
     "passes alone, the memory of a loss"},
    {"finetune.mezo.perturbation", "DISTANCE",
     "Of optimizer mezo: how far a weight is moved; default 1e-3"},
    {"finetune.mezo.samples", "N",
     "Of optimizer mezo: directions of a step, two passes each; default 1"},
    {"finetune.activation_checkpointing", "BOOL", "true: less memory, about a third more time"},
    {"finetune.update_in_backward", "BOOL",
     "true: gradients of one block at a time; clipping is by block"},
};

constexpr Field kQuantizeFields[] = {
    {"quantize.quantization", "FORM", "int8 (default), int4, nf4 or adaptive"},
    {"quantize.rounding", "ROUNDING",
     "nearest (default), or compensated: GPTQ with --calibration-data"},
    {"quantize.calibration_data", "DATA",
     "A text or SQuAD data set, for compensated rounding and adaptive"},
    {"quantize.calibration_tokens", "N",
     "Tokens of the calibration data that are read; default 16384"},
    {"quantize.size_budget_bytes", "BYTES",
     "Adaptive: size of all matrices at most; default 1.3 times that of int4"},
    {"quantize.perplexity_change_percent_max", "PERCENT",
     "Adaptive: perplexity may grow by this much, instead of a size budget"},
};

constexpr Field kGenerateFields[] = {
    {"generate.max_new_tokens", "N", "Tokens to generate at most; default 32"},
    {"generate.batch_size", "N", "Prompts at once; default 1"},
    {"generate.repetition_penalty", "P",
     "Above 1: tokens of the prompt and the text so far become less likely"},
    {"generate.quantization", "FORM", "Quantize the model when it is loaded: int8, int4, nf4"},
};

constexpr Field kEvaluateFields[] = {
    {"evaluate.batch_size", "N", "Examples at once; default 8"},
    {"evaluate.limit_examples", "N", "Use only the first N examples"},
    {"evaluate.reference_model", "REFERENCE",
     "Model to compare with, by KL divergence and top-1 agreement"},
    {"evaluate.score_answers", "BOOL",
     "true: generate answers to a SQuAD file; exact match and F1"},
    {"evaluate.max_answer_tokens", "N", "Tokens of an answer at most; default 32"},
};

void AddFinetuneFlags(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags) {
  AddFields(leaf, flags, kFinetuneFields);
}

void AddQuantizeFlags(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags) {
  AddFields(leaf, flags, kQuantizeFields);
}

void AddGenerateFlags(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags) {
  AddField(leaf, flags, {"generate.data", "DATA", "Data set of prompts or conversations"});
  leaf->add_flag_callback(
      "--chat",
      [flags] {
        flags->fields.push_back({"--chat", "generate.chat=true"});
      },
      "Ask a chat model: its chat template writes each prompt as what the user says");
  leaf->add_option("--prompt", flags->prompts, "A prompt, instead of --data; repeatable")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->take_all();
  leaf->add_option_function<std::string>(
          "text",
          [flags](const std::string& prompt) {
            flags->prompts.push_back(prompt);
            flags->options.watch = true;
          },
          "A prompt; its text is shown as it is generated")
      ->type_name("PROMPT");
  leaf->add_option_function<std::vector<std::string>>(
          "--stop", [flags](const std::vector<std::string>& stops) { flags->stops = stops; },
          "A text that ends a generation; repeatable")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->take_all();
  AddFields(leaf, flags, kGenerateFields);
  AddFloor(leaf, flags);
  AddField(leaf, flags, {"generate.temperature", "T", "0, the default: greedy"});
  AddField(leaf, flags, {"generate.seed", "N", "Seed of the sampling"});
}

void AddEvaluateFlags(CLI::App* leaf, const std::shared_ptr<KindFlags>& flags) {
  AddField(leaf, flags,
           {"evaluate.data", "DATA", "A text, SQuAD data set or conversations (required)"});
  AddField(
      leaf, flags,
      {"evaluate.quantization", "FORM", "Quantize the model when it is loaded: int8, int4, nf4"});
  AddFloor(leaf, flags);
  AddFields(leaf, flags, kEvaluateFields);
}

constexpr KindHelp kHelp[] = {
    {.kind_case = v1::JobSpec::kFinetune,
     .sentence = "Fine-tune a model on a data set, from flags.",
     .examples = "  wattle finetune --model gpt2 --data squad --epochs 2 --watch\n"
                 "  wattle finetune --model gpt2 --data squad --dry-run > job.yaml\n",
     .add_flags = AddFinetuneFlags},
    {.kind_case = v1::JobSpec::kQuantize,
     .sentence = "Quantize a model, from flags.",
     .examples = "  wattle quantize --model gpt2\n"
                 "  wattle quantize --model job:j12/output --quantization int4 \\\n"
                 "      --rounding compensated --calibration-data wiki\n"
                 "  wattle quantize --model gpt2 --set 'quantize.recipe={matrices: {bits: "
                 "4, group_size: 32}, head: {bits: 8}}'\n",
     .add_flags = AddQuantizeFlags},
    {.kind_case = v1::JobSpec::kGenerate,
     .sentence = "Generate text from prompts, from flags.",
     .examples = "  wattle generate --model gpt2 \"The mast is\"\n"
                 "  wattle generate --model gpt2 --prompt \"The mast is\" --stop . "
                 "--repetition-penalty 1.2\n"
                 "  wattle generate --model smollm2-instruct --chat \"What is a watt?\"\n"
                 "  wattle generate --model gpt2 --data questions --max-new-tokens 64\n"
                 "  wattle generate --model gpt2 --data questions --quality-floor 1\n",
     .add_flags = AddGenerateFlags},
    {.kind_case = v1::JobSpec::kEvaluate,
     .sentence = "Measure a model's quality on data, from flags.",
     .examples = "  wattle evaluate --model gpt2 --data wiki --watch\n"
                 "  wattle evaluate --model job:j3/output --data wiki --reference-model gpt2\n"
                 "  wattle evaluate --model gpt2 --data squad --score-answers true\n",
     .add_flags = AddEvaluateFlags},
};

// Adds the inputs of the kind except its model.
void AddInputs(CLI::App* leaf, const JobKind& kind, const std::shared_ptr<KindFlags>& flags) {
  for (const JobInput& input : kind.inputs) {
    if (input.field != kModelInput) {
      const std::string path = absl::StrCat(kind.name, ".", input.field);
      AddField(leaf, flags,
               {path.c_str(), input.is_model ? "REFERENCE" : "DATA",
                "Artifact: name, id, or job:ID/output"});
    }
  }
}

void AddKind(CLI::App* app, CommandSlot* slot, const JobKind& row) {
  const std::string kind(row.name);
  const KindHelp* const help = PartOfKind<KindHelp>(row.kind_case, kHelp);
  CLI::App* leaf =
      help != nullptr
          ? AddLeaf(app, kind, help->sentence, help->examples)
          : AddLeaf(app, kind, absl::StrCat("Submit a job of the kind ", kind, ", from flags."),
                    absl::StrCat("  wattle ", kind, " --model gpt2\n"));
  auto flags = std::make_shared<KindFlags>();
  const std::string model = absl::StrCat(kind, ".", kModelInput);
  AddField(leaf, flags,
           {model.c_str(), "REFERENCE", "Model: name, id, or job:ID/output (required)"});
  AddField(leaf, flags, {"name", "TEXT", "Name of the job, for people to read"});
  AddField(leaf, flags, {"objective", "OBJECTIVE", "energy (default), time or edp"});
  AddField(leaf, flags,
           {"deadline_seconds", "SECONDS",
            "Seconds after submission by which the job shall have ended"});
  leaf->add_option("--set", flags->set, "Any other field=value of a job file; repeatable")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false)
      ->take_all();
  leaf->add_flag("--dry-run", flags->dry_run, "Print the job file and submit nothing");
  leaf->add_flag("-w,--watch", flags->options.watch, "Show progress until the job has ended");
  slot->Bind(leaf, [flags, kind](Session& session) { return Run(session, kind, *flags); });
  if (help != nullptr) {
    help->add_flags(leaf, flags);
  } else {
    AddInputs(leaf, row, flags);
  }
}

}  // namespace

void AddKindCommands(CLI::App* app, CommandSlot* slot) {
  for (const JobKind& kind : JobKinds()) {
    if (!kind.wraps_workload) {  // wattle profile run takes a job file.
      AddKind(app, slot, kind);
    }
  }
}

}  // namespace wattle::cli
