#include "page_parser.h"

#include <cstddef>
#include <new>
#include <type_traits>

#include <expat.h>

class PageParser::Implementation {
 public:
  Implementation() : parser_(XML_ParserCreate("UTF-8")) {
    if (!parser_) {
      throw std::bad_alloc();
    }
  }

  std::string parse(std::string_view xml) {
    page_.title.clear();
    page_.name_space.clear();
    page_.text.clear();
    page_.text.reserve(xml.size());  // no text is longer, so expat's frames see no exception
    page_.title.reserve(xml.size());
    page_.name_space.reserve(xml.size());
    page_.is_redirect = false;
    has_text_ = false;
    depth_ = 0;
    field_ = nullptr;
    XML_ParserReset(parser_.get(), "UTF-8");
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(parser_.get(), &begin_element, &end_element);
    XML_SetCharacterDataHandler(parser_.get(), &add_text);
    if (XML_Parse(parser_.get(), xml.data(), static_cast<int>(xml.size()), XML_TRUE) !=
        XML_STATUS_OK) {
      return std::string("not well-formed XML: ") +
             XML_ErrorString(XML_GetErrorCode(parser_.get())) + " at byte " +
             std::to_string(XML_GetCurrentByteIndex(parser_.get())) + " of the page";
    }
    if (page_.title.empty() || page_.name_space.empty() || !has_text_) {
      return std::string("the page has no <") +
             (page_.title.empty()        ? "title"
              : page_.name_space.empty() ? "ns"
                                         : "text") +
             ">";
    }
    return "";
  }

  const WikiPage& page() const { return page_; }

 private:
  struct Free {
    void operator()(XML_Parser parser) const noexcept { XML_ParserFree(parser); }
  };

  // <page> is at depth 1, its <title>, <ns>, <redirect> and <revision> at 2, a revision's <text> at
  // 3.
  static void XMLCALL begin_element(void* self, const XML_Char* name, const XML_Char**) {
    auto& parser = *static_cast<Implementation*>(self);
    const std::string_view element = name;
    ++parser.depth_;
    parser.field_ = nullptr;
    if (parser.depth_ == 2) {
      parser.is_in_revision_ = element == "revision";
      parser.page_.is_redirect |= element == "redirect";
      parser.field_ = element == "title" ? &parser.page_.title
                      : element == "ns"  ? &parser.page_.name_space
                                         : nullptr;
    } else if (parser.depth_ == 3 && parser.is_in_revision_ && element == "text") {
      parser.has_text_ = true;
      parser.field_ = &parser.page_.text;
    }
    if (parser.field_ != nullptr) {
      parser.field_->clear();
    }
  }

  static void XMLCALL end_element(void* self, const XML_Char*) {
    auto& parser = *static_cast<Implementation*>(self);
    --parser.depth_;
    parser.field_ = nullptr;
  }

  static void XMLCALL add_text(void* self, const XML_Char* text, int size) {
    std::string* field = static_cast<Implementation*>(self)->field_;
    if (field != nullptr) {
      field->append(text, static_cast<std::size_t>(size));
    }
  }

  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, Free> parser_;
  WikiPage page_;
  bool has_text_ = false;
  bool is_in_revision_ = false;
  int depth_ = 0;
  std::string* field_ = nullptr;  // of page_, that what follows belongs to
};

PageParser::PageParser() : implementation_(std::make_unique<Implementation>()) {}

PageParser::~PageParser() = default;

std::string PageParser::parse(std::string_view xml) {
  return implementation_->parse(xml);
}

const WikiPage& PageParser::page() const {
  return implementation_->page();
}
