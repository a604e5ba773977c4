#pragma once

#include <memory>
#include <string>
#include <string_view>

// What a page of a MediaWiki dump holds.
struct WikiPage {
  std::string title;
  std::string name_space;  // "0" is the encyclopedia's articles
  bool is_redirect = false;
  std::string text;  // wikitext, valid UTF-8; of the last revision where there are several
};

// Takes pages of a MediaWiki dump (<https://www.mediawiki.org/xml/export-0.11/>) apart, with expat.
// One thread at a time.
class PageParser {
 public:
  PageParser();
  ~PageParser();

  // `xml` is one <page> element. Returns why it is no page; empty where page() is it.
  std::string parse(std::string_view xml);
  const WikiPage& page() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};
