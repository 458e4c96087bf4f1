# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_dwindle_global_optspecs
    string join \n c/config= j/workers= level= v/verbose q/quiet log-format= color= h/help V/version
end

function __fish_dwindle_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_dwindle_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_dwindle_using_subcommand
    set -l cmd (__fish_dwindle_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c dwindle -n "__fish_dwindle_needs_command" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_needs_command" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_needs_command" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_needs_command" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_needs_command" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_needs_command" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_needs_command" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_needs_command" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_needs_command" -s V -l version -d 'Print version'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "run" -d 'Watch folders until stopped, and compress what is finished'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "compress" -d 'Compress the files named, like gzip'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "check" -d 'Validate the configuration and print every problem in it'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "explain" -d 'Say of each path which watch has it, what every rule says, and what happens next'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "status" -d 'Ask the running agent how it gets on'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "completions" -d 'Print the script that completes command lines in a shell'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "man" -d 'Print a manual page'
complete -c dwindle -n "__fish_dwindle_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -l shard -d 'Only the files whose relative paths fall to part I of N, so that N hosts can share a folder' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -l once -d 'One pass over what is there now; waits for what is still being written'
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -l dry-run -d 'One pass that touches nothing: says, a line per file, what would be done and why'
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -l json -d 'Report as JSON'
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_using_subcommand run" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -l format -d 'What to compress to: gzip makes FILE.gz, zstd makes FILE.zst [default: gzip]' -r -f -a "gzip\t''
zstd\t''"
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s o -l output-dir -d 'Put the compressed files into DIR instead of beside the originals' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -l shard -d 'With -r: only the files whose paths in their folder fall to part I of N, so that N hosts can share it' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s r -l recursive -d 'Go through folders, and all folders in them'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s k -l keep -d 'Keep the originals'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s f -l force -d 'Replace a compressed file that is there already'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -l json -d 'Report as JSON'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 1 -l fast -d 'Compress fastest; -2 to -8 lie between'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 2
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 3
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 4
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 5
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 6
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 7
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 8
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s 9 -l best -d 'Compress smallest; zstd goes on, by --level, to 19'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_using_subcommand compress" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -l logrotate -d 'Configuration of logrotate to compare with' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_using_subcommand check" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -l shard -d 'As an agent with this --shard would have it' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_using_subcommand explain" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -l socket -d 'The agent\'s control socket [default: the configuration\'s, the service\'s, the user\'s]' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -l json -d 'Print what the agent answers, an object of JSON'
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -s w -l watch -d 'Go on until q, Ctrl-C, or the agent\'s end: on a terminal a live screen, elsewhere a line now and then'
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_using_subcommand status" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_using_subcommand completions" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -s c -l config -d 'Configuration file(s) instead of those in /etc/dwindle' -r -F
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -s j -l workers -d 'Compress N files at a time [default: as many as there are CPUs]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -l level -d 'Compression level, 1 (fastest) to 9 (smallest) [default: 6]; with --format zstd to 19 [default: 3]' -r
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -l log-format -d 'What log lines look like' -r -f -a "auto\t'What fits where they go: the journal where that reads standard error, and otherwise text'
text\t'Lines for people'
json\t'A JSON object a line'
journald\t'To the systemd journal, each field on its own; text where there is none'"
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -l color -d 'Use colours; auto: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless the variable `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -s v -l verbose -d 'Log more: -v what is skipped, -vv everything'
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors, -qqq nothing'
complete -c dwindle -n "__fish_dwindle_using_subcommand man" -s h -l help -d 'Print help'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "run" -d 'Watch folders until stopped, and compress what is finished'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "compress" -d 'Compress the files named, like gzip'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "check" -d 'Validate the configuration and print every problem in it'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "explain" -d 'Say of each path which watch has it, what every rule says, and what happens next'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "status" -d 'Ask the running agent how it gets on'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "completions" -d 'Print the script that completes command lines in a shell'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "man" -d 'Print a manual page'
complete -c dwindle -n "__fish_dwindle_using_subcommand help; and not __fish_seen_subcommand_from run compress check explain status completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
