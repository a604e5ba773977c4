#include "gpu/kernel_name.h"

#include <cstdlib>
#include <memory>
#include <string_view>

#include <cxxabi.h>

namespace penstock::gpu {
namespace {

std::string demangled(const std::string& symbol) {
  struct Free {
    void operator()(char* text) const { std::free(text); }
  };
  int status = 0;
  const std::unique_ptr<char, Free> text(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status));
  return status == 0 ? text.get() : symbol;
}

// The last pair of parentheses, where it ends the text.
void remove_arguments(std::string& name) {
  if (!name.ends_with(')')) {
    return;
  }
  int depth = 0;
  for (std::size_t i = name.size(); i-- > 0;) {
    depth += name[i] == ')' ? 1 : name[i] == '(' ? -1 : 0;
    if (depth == 0) {
      name.resize(i);
      return;
    }
  }
}

void remove_all(std::string& name, std::string_view text) {
  for (std::size_t at = name.find(text); at != std::string::npos; at = name.find(text, at)) {
    name.erase(at, text.size());
  }
}

}  // namespace

std::string kernel_name(const std::string& symbol, std::size_t most) {
  constexpr std::string_view kReturnType = "void ";  // of instances of templates
  constexpr std::string_view kCut = "...";
  std::string name = demangled(symbol);
  remove_arguments(name);
  if (name.starts_with(kReturnType)) {
    name.erase(0, kReturnType.size());
  }
  remove_all(name, "(anonymous namespace)::");
  if (name.size() > most) {
    name.resize(most - kCut.size());
    name += kCut;
  }
  return name;
}

}  // namespace penstock::gpu
