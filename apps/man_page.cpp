#include "apps/man_page.h"

#include <algorithm>
#include <string_view>

namespace penstock {
namespace {

// Text that stands for itself.
std::string literal(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  if (escaped.starts_with('.') || escaped.starts_with('\'')) {
    escaped.insert(0, "\\&");
  }
  return escaped;
}

std::string bold(const std::string& text) {
  return "\\fB" + literal(text) + "\\fR";
}

std::string italic(const std::string& text) {
  return "\\fI" + literal(text) + "\\fR";
}

std::string usage(const ArgumentDescription& argument) {
  if (argument.is_positional) {
    return italic(argument.name);
  }
  return bold(argument.name) + (argument.value.empty() ? "" : " " + italic(argument.value));
}

std::string synopsis(const std::string& program, const CommandDescription& command) {
  std::string line = bold(program) + " " + bold(command.name);
  for (const ArgumentDescription& argument : command.arguments) {
    if (argument.is_positional) {
      line += argument.is_required ? " " + usage(argument) : " [" + usage(argument) + "]";
    }
  }
  return line + " [" + italic("OPTION") + "...]";
}

std::string argument_list(const CommandDescription& command) {
  std::string list;
  for (const ArgumentDescription& argument : command.arguments) {
    std::string choices;
    for (const std::string& choice : argument.choices) {
      choices += (choices.empty() ? " One of " : ", ") + choice;
    }
    list += ".TP\n" + usage(argument) + "\n" + literal(argument.summary) + "." +
            (choices.empty() ? "" : literal(choices) + ".") + "\n";
  }
  return list;
}

// A footer: paragraphs, and lines that are indented, which stay as they are.
std::string footer_text(std::string_view footer) {
  std::string text;
  bool is_example = false;
  while (!footer.empty()) {
    const std::string line(footer.substr(0, footer.find('\n')));
    footer.remove_prefix(std::min(line.size() + 1, footer.size()));
    if (line.starts_with("  ") != is_example) {
      is_example = !is_example;
      text += is_example ? ".PP\n.RS 4\n.nf\n" : ".fi\n.RE\n";
    }
    text += line.empty() ? ".PP\n" : literal(is_example ? line.substr(2) : line) + "\n";
  }
  return text + (is_example ? ".fi\n.RE\n" : "");
}

}  // namespace

std::string man_page(const CommandDescription& program, const std::string& version) {
  std::string page = ".TH PENSTOCK 1 \"\" \"" + literal(program.name + " " + version) +
                     "\" \"User Commands\"\n.SH NAME\n" + literal(program.name) +
                     " \\- token batches from raw text shards\n.SH SYNOPSIS\n";
  for (const CommandDescription& command : program.commands) {
    page += synopsis(program.name, command) + "\n.br\n";
  }
  page += ".SH DESCRIPTION\n" + literal(program.summary) + "\n.SH OPTIONS\n" +
          argument_list(program) + ".SH COMMANDS\n";
  for (const CommandDescription& command : program.commands) {
    page += ".SS " + synopsis(program.name, command) + "\n" + literal(command.summary) + ".\n" +
            argument_list(command);
    if (!command.footer.empty()) {
      page += ".PP\n" + footer_text(command.footer);
    }
  }
  return page;
}

}  // namespace penstock
