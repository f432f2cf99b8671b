namespace Phi3VCluster.Client.Completion;

/// <summary>
/// What a shell is told once, to ask <c>phi3v complete</c> from then on. Its answer is a candidate a line, a tab and words on it; where
/// there is none, the shell offers files.
/// </summary>
internal static class ShellScripts
{
    public static IReadOnlyDictionary<string, string> All { get; } = new SortedDictionary<string, string>
    {
        // The line is taken apart at blanks: bash's own words end at ':' and '=' too, and only what follows those is replaced.
        ["bash"] =
            """
            # phi3v's completion for bash: source <(phi3v completion bash)
            _phi3v() {
                local line=${COMP_LINE:0:COMP_POINT} words word prefix
                read -ra words <<< "$line"
                [[ $line == *[[:space:]] ]] && words+=("")
                word=${words[-1]}
                mapfile -t COMPREPLY < <("${COMP_WORDS[0]/#\~/$HOME}" complete -- "${words[@]:1}" 2> /dev/null)
                COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
                prefix=${word%"${word##*[:=]}"}
                COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
                [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=] ]] && compopt -o nospace
                return 0
            }
            complete -o default -F _phi3v phi3v

            """,
        ["fish"] =
            """
            # phi3v's completion for fish: phi3v completion fish | source
            function __phi3v_complete
                set -l before (commandline -opc)
                set -l word (commandline -ct)
                set -l found ($before[1] complete -- $before[2..] "$word" 2> /dev/null)
                if test (count $found) -gt 0
                    printf '%s\n' $found
                else
                    __fish_complete_path "$word"
                end
            end
            complete -c phi3v -f -a '(__phi3v_complete)'

            """,
        ["zsh"] =
            """
            #compdef phi3v
            # phi3v's completion for zsh: source <(phi3v completion zsh), after compinit
            _phi3v() {
                local line name
                local -a before found names shown open
                before=("${(@Q)words[2,CURRENT-1]}")
                (( CURRENT > 2 )) || before=()
                found=("${(@f)$("${(Q)words[1]/#\~/$HOME}" complete -- "${(@)before}" "${(Q)PREFIX}" 2> /dev/null)}")
                for line in "${(@)found}"; do
                    name=${line%%$'\t'*}
                    if [[ $name == *[:=] ]]; then open+=("$name")
                    elif [[ -n $name ]]; then names+=("$name"); shown+=("${line/$'\t'/  -- }")
                    fi
                done
                if (( ! $#open && ! $#names )); then
                    compset -P '*[:=]'
                    _files
                    return
                fi
                (( $#open )) && compadd -S '' -a open
                (( $#names )) && compadd -l -d shown -a names
            }
            if [[ $funcstack[1] == _phi3v ]]; then _phi3v "$@"; else compdef _phi3v phi3v; fi

            """,
    };
}
