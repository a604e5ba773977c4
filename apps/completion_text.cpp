#include "apps/completion_text.h"

#include <algorithm>
#include <vector>

namespace penstock {
namespace {

std::string join(const std::vector<std::string>& texts, const std::string& separator) {
  std::string joined;
  for (const std::string& text : texts) {
    joined += (joined.empty() ? "" : separator) + text;
  }
  return joined;
}

std::vector<std::string> command_names(const CommandDescription& program) {
  std::vector<std::string> names;
  for (const CommandDescription& command : program.commands) {
    names.push_back(command.name);
  }
  return names;
}

// Options, and what a positional argument can be.
std::vector<std::string> first_words(const CommandDescription& command) {
  std::vector<std::string> words;
  for (const ArgumentDescription& argument : command.arguments) {
    if (argument.is_positional) {
      words.insert(words.end(), argument.choices.begin(), argument.choices.end());
    } else {
      words.push_back(argument.name);
    }
  }
  return words;
}

bool takes_file(const CommandDescription& command) {
  return std::any_of(
      command.arguments.begin(), command.arguments.end(), [](const ArgumentDescription& argument) {
        return argument.is_positional && argument.takes_file;
      });
}

// `text` with a backslash before each of `special`.
std::string escape(const std::string& text, const std::string& special) {
  std::string escaped;
  for (const char c : text) {
    escaped += special.find(c) == std::string::npos ? "" : "\\";
    escaped += c;
  }
  return escaped;
}

// In single quotes, as sh and zsh read it.
std::string quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? "'\\''" : std::string{c};
  }
  return quoted + "'";
}

// ---- zsh

std::string zsh_values(const ArgumentDescription& argument) {
  if (!argument.choices.empty()) {
    return "(" + join(argument.choices, " ") + ")";
  }
  return argument.takes_file ? "_files" : "";
}

// One specification of _arguments.
std::string zsh_argument(const ArgumentDescription& argument) {
  const std::string special = "[]:\\";
  if (argument.is_positional) {
    return quoted(std::string(argument.is_required ? ":" : "::") + argument.name + ":" +
                  zsh_values(argument));
  }
  std::string specification = "*" + argument.name + "[" + escape(argument.summary, special) + "]";
  if (!argument.value.empty()) {
    specification += ":" + escape(argument.value, special) + ":" + zsh_values(argument);
  }
  return quoted(specification);
}

// ---- fish

std::string fish_argument(const ArgumentDescription& argument, const std::string& condition) {
  std::string line = "complete -c penstock -n '" + condition + "'";
  if (!argument.is_positional) {
    line += " -l " + argument.name.substr(argument.name.find_first_not_of('-'));
  }
  if (!argument.choices.empty()) {
    line += " -x -a '" + join(argument.choices, " ") + "'";
  } else if (!argument.value.empty() || argument.is_positional) {
    line += argument.takes_file ? " -r -F" : " -x";
  }
  return line + " -d '" + escape(argument.summary, "'\\") + "'\n";
}

}  // namespace

std::string bash_completion(const CommandDescription& program) {
  std::string values;   // behind an option that takes one
  std::string options;  // of each command
  for (const CommandDescription& command : program.commands) {
    for (const ArgumentDescription& argument : command.arguments) {
      if (argument.is_positional || argument.value.empty()) {
        continue;
      }
      values += "    '" + command.name + " " + argument.name + "') ";
      if (!argument.choices.empty()) {
        values += "words='" + join(argument.choices, " ") + "' ;;\n";
      } else {
        values += std::string(argument.takes_file ? "files=yes" : "return") + " ;;\n";
      }
    }
    options += "      " + command.name + ") words='" + join(first_words(command), " ") + "'" +
               (takes_file(command) ? "; files=yes" : "") + " ;;\n";
  }
  const std::string commands = join(command_names(program), "|");
  return "# bash completion for penstock; made by 'penstock completion bash'.\n"
         "_penstock() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD - "
         "1]}\"\n"
         "  local command='' words='' files='' word\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD - 1}\"; do\n"
         "    case \"$word\" in\n"
         "      " +
         commands +
         ") command=\"$word\"; break ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$command $previous\" in\n" +
         values +
         "    *) case \"$command\" in\n"
         "      '') words='" +
         join(command_names(program), " ") + " " + join(first_words(program), " ") + "' ;;\n" +
         options +
         "    esac ;;\n"
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "  if [[ -n \"$files\" && \"$current\" != -* ]]; then\n"
         "    COMPREPLY=($(compgen -f -- \"$current\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _penstock penstock\n";
}

std::string zsh_completion(const CommandDescription& program) {
  std::string commands;
  std::string cases;
  for (const CommandDescription& command : program.commands) {
    commands += "    " + quoted(escape(command.name, ":") + ":" + command.summary) + "\n";
    cases += "    " + command.name + ") _arguments";
    for (const ArgumentDescription& argument : command.arguments) {
      cases += " \\\n      " + zsh_argument(argument);
    }
    cases += " ;;\n";
  }
  std::string options;
  for (const ArgumentDescription& argument : program.arguments) {
    options += " " + zsh_argument(argument);
  }
  return "#compdef penstock\n"
         "# Made by 'penstock completion zsh'.\n"
         "_penstock() {\n"
         "  local -a commands=(\n" +
         commands +
         "  )\n"
         "  if ((CURRENT == 2)); then\n"
         "    _describe command commands\n"
         "    _arguments" +
         options +
         "\n"
         "    return\n"
         "  fi\n"
         "  shift words\n"
         "  ((CURRENT--))\n"
         "  case \"$words[1]\" in\n" +
         cases +
         "  esac\n"
         "}\n"
         "_penstock \"$@\"\n";
}

std::string fish_completion(const CommandDescription& program) {
  std::string text =
      "# fish completion for penstock; made by 'penstock completion fish'.\n"
      "complete -c penstock -f\n";
  for (const ArgumentDescription& argument : program.arguments) {
    text += fish_argument(argument, "__fish_use_subcommand");
  }
  for (const CommandDescription& command : program.commands) {
    text += "complete -c penstock -n __fish_use_subcommand -a " + command.name + " -d '" +
            escape(command.summary, "'\\") + "'\n";
    for (const ArgumentDescription& argument : command.arguments) {
      text += fish_argument(argument, "__fish_seen_subcommand_from " + command.name);
    }
  }
  return text;
}

}  // namespace penstock
