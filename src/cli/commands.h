// The command line's nouns. Each takes its words and returns an exit code; Docker's flags and output where
// Docker has the command.
#pragma once
#include <string>
#include <vector>

#include "cli/flags.h"
#include "cli/http.h"

namespace panal {

using Words = std::vector<std::string>;

int image_command(ApiClient& api, const Words& words);
int node_command(ApiClient& api, const Words& words);
int service_command(ApiClient& api, const Words& words);
int swarm_command(ApiClient& api, const Words& words);
int network_command(ApiClient& api, const Words& words);
int lab_command(const Words& words, const std::string& bin_dir);

/// Prints the error as Docker's CLI does; 1, or 125 for a wrong command line.
int report(const Error& error);
int usage(const std::string& text);

/// Columns as wide as their widest cell plus three spaces.
void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace panal
