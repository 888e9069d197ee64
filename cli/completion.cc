// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/job_override.h"
#include <CLI/App.hpp>

namespace wattle::cli {
namespace {

// bash splits words at ':' and '=' and expects only the part after them, so the script passes the
// whole line.
constexpr char kBash[] = R"(# bash completion for wattle: source <(wattle completion bash)
_wattle() {
  local line="${COMP_LINE:0:COMP_POINT}" current prefix="" candidate
  local -a words
  read -ra words <<<"$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  current="${words[-1]}"
  [[ "$current" == *[:=]* ]] && prefix="${current%"${current##*[:=]}"}"
  COMPREPLY=()
  while IFS= read -r candidate; do
    case "$candidate" in
      :files)
        compopt -o filenames 2>/dev/null
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current") ;;
      :directories)
        compopt -o filenames 2>/dev/null
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$current") ;;
      *=)
        compopt -o nospace 2>/dev/null
        COMPREPLY+=("${candidate#"$prefix"}") ;;
      *) COMPREPLY+=("${candidate#"$prefix"}") ;;
    esac
  done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _wattle wattle
)";

constexpr char kZsh[] = R"(#compdef wattle
# zsh completion for wattle: source <(wattle completion zsh)
_wattle() {
  local -a candidates
  candidates=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( ${candidates[(Ie):files]} )); then
    _files
  elif (( ${candidates[(Ie):directories]} )); then
    _files -/
  elif [[ -n "${candidates[1]}" ]]; then
    compadd -S '' -a candidates
  fi
}
compdef _wattle wattle
)";

constexpr char kFish[] = R"(# fish completion for wattle: wattle completion fish | source
function __wattle_complete
    set -l words (commandline -opc) (commandline -ct)
    for candidate in ($words[1] __complete $words[2..-1] 2>/dev/null)
        switch $candidate
            case :files
                __fish_complete_path (commandline -ct)
            case :directories
                __fish_complete_directories (commandline -ct)
            case '*'
                echo $candidate
        end
    end
end
complete -c wattle -f -a '(__wattle_complete)'
)";

// The position on the command line of the word that is being typed: the deepest subcommand, the
// number of its positional arguments so far, and the option that needs a value.
struct Place {
  CLI::App* app = nullptr;
  size_t positionals = 0;
  const CLI::Option* wants_value = nullptr;
};

const CLI::Option* FindOption(CLI::App* app, const std::string& word) {
  for (CLI::App* level = app; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      if (option->nonpositional() && option->check_name(word)) {
        return option;
      }
    }
  }
  return nullptr;
}

CLI::App* FindSubcommand(CLI::App* app, const std::string& word) {
  for (CLI::App* sub : app->get_subcommands([](CLI::App*) { return true; })) {
    if (sub->get_name() == word) {
      return sub;
    }
  }
  return nullptr;
}

Place Walk(CLI::App* app, const std::vector<std::string>& words) {
  Place place{.app = app};
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (place.wants_value != nullptr) {
      place.wants_value = nullptr;
      continue;
    }
    if (absl::StartsWith(word, "-")) {
      const CLI::Option* option = FindOption(place.app, word);
      if (option != nullptr && option->get_expected_min() > 0) {
        place.wants_value = option;
      }
      continue;
    }
    CLI::App* next = FindSubcommand(place.app, word);
    if (next != nullptr) {
      place = Place{.app = next};
    } else {
      ++place.positionals;
    }
  }
  return place;
}

// The values of a flag or an argument, by its value name in the help.
std::vector<std::string> ValuesOf(const std::string& sort, const FleetNames& fleet_names) {
  if (sort == "FILE" || sort == "PATH") {
    return {":files"};
  }
  if (sort == "DIRECTORY") {
    return {":directories"};
  }
  if (sort == "FORMAT") {
    return {"table", "json"};
  }
  if (sort == "GGUF_TYPE") {
    return {"f32", "f16", "q8_0", "q4_0"};
  }
  if (sort == "SHELL") {
    return {"bash", "zsh", "fish"};
  }
  if (sort == "STATE") {
    return {"waiting", "queued", "active", "succeeded", "failed", "cancelled"};
  }
  if (sort == "FIELD=VALUE") {
    std::vector<std::string> paths = OverridePaths();
    for (std::string& path : paths) {
      path += '=';
    }
    return paths;
  }
  return fleet_names(sort);
}

std::vector<std::string> OptionNames(CLI::App* app) {
  std::vector<std::string> names;
  for (CLI::App* level = app; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> Unfiltered(const Place& place, const std::string& typed,
                                    const FleetNames& fleet_names) {
  if (place.wants_value != nullptr) {
    return ValuesOf(place.wants_value->get_type_name(), fleet_names);
  }
  if (absl::StartsWith(typed, "-")) {
    return OptionNames(place.app);
  }
  std::vector<std::string> names;
  for (const CLI::App* sub : place.app->get_subcommands({})) {
    if (!sub->get_group().empty()) {
      names.push_back(sub->get_name());
    }
  }
  if (!names.empty()) {
    return names;
  }
  std::vector<const CLI::Option*> positionals;
  for (const CLI::Option* option : place.app->get_options()) {
    if (option->get_positional()) {
      positionals.push_back(option);
    }
  }
  if (positionals.empty()) {
    return {};
  }
  const bool more = positionals.back()->get_expected_max() > 1;  // FILE…
  if (place.positionals >= positionals.size() && !more) {
    return {};
  }
  const size_t index = std::min(place.positionals, positionals.size() - 1);
  return ValuesOf(positionals[index]->get_name(true), fleet_names);
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const std::string& shell) {
  if (shell == "bash") {
    return kBash;
  }
  if (shell == "zsh") {
    return kZsh;
  }
  if (shell == "fish") {
    return kFish;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("completion ", shell, ": no such shell; wants bash, zsh or fish"));
}

std::vector<std::string> Complete(CLI::App* app, const std::vector<std::string>& words,
                                  const FleetNames& fleet_names) {
  const std::string typed = words.empty() ? "" : words.back();
  std::vector<std::string> candidates;
  for (std::string& candidate : Unfiltered(Walk(app, words), typed, fleet_names)) {
    if (absl::StartsWith(candidate, ":") || absl::StartsWith(candidate, typed)) {
      candidates.push_back(std::move(candidate));
    }
  }
  return candidates;
}

}  // namespace wattle::cli
