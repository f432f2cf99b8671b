using Phi3VCluster.Cluster.Tests.Processes;

namespace Phi3VCluster.Client.Tests;

/// <summary>The completion scripts, in the shells that they are for.</summary>
public sealed class CompletionTests : IDisposable
{
    private readonly CliSandbox _cli = new();

    public CompletionTests()
    {
        _cli.Set("PATH", $"{Path.GetDirectoryName(CliSandbox.Executable)}:{Environment.GetEnvironmentVariable("PATH")}");
        _cli.Set("HOME", _cli.Folder);
        foreach (var run in (string[])["invoices-2", "invoices-1", "receipts-1"])
            _cli.Write($"home/runs/{run}.json", $$"""{"run": "{{run}}", "name": "x", "output": "/nowhere"}""");
        _cli.Write("docvqa-mine.yaml", "");
        _cli.Write("data/train.jsonl", "");
    }

    public static TheoryData<string, string[]> Lines => new()
    {
        { "phi3v st", ["status"] },
        { "phi3v nodes d", ["drain"] },
        { "phi3v status inv", ["invoices-1", "invoices-2"] },
        { "phi3v logs l", ["last"] },
        { "phi3v submit docvqa-lora-", ["docvqa-lora-bf16", "docvqa-lora-fp16"] },
        { "phi3v submit docvqa-m", ["docvqa-mine.yaml"] },
        { "phi3v recipes quick", ["quickstart"] },
        { "phi3v submit quickstart --wa", ["--wait"] },
        { "phi3v submit quickstart --set optimizer.lear", ["optimizer.learningRate=", "optimizer.learningRates.languageModel=",
            "optimizer.learningRates.projector=", "optimizer.learningRates.visionTower="] },
        { "phi3v generate --model m --precision b", ["bf16"] },
        { "phi3v completion ", ["bash", "fish", "zsh"] },
        { "phi3v inspect mess", ["messages:"] },
        { "phi3v download d", ["dataset"] },
    };

    public void Dispose() => _cli.Dispose();

    [Theory]
    [MemberData(nameof(Lines))]
    public async Task Bash_completes(string line, string[] expected)
    {
        var result = await ShellAsync("bash", "-c", $$"""
            source <(phi3v completion bash)
            [[ $(complete -p phi3v) == "complete -o default -F _phi3v phi3v" ]] || exit 9
            COMP_LINE='{{line}}'; COMP_POINT=${#COMP_LINE}; COMP_WORDS=($COMP_LINE)
            _phi3v 2> /dev/null
            printf '%s\n' "${COMPREPLY[@]}"
            """);

        Assert.Equal(expected, Words(result));
    }

    [Fact]
    public async Task Bash_replaces_only_what_follows_a_colon_or_equals_sign()
    {
        var result = await ShellAsync("bash", "-c", """
            source <(phi3v completion bash)
            COMP_LINE='phi3v generate --precision=f'; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(phi3v generate --precision = f)
            _phi3v
            printf '%s\n' "${COMPREPLY[@]}"
            """);

        Assert.Equal(["fp16", "fp32"], Words(result).Order());
    }

    [Theory]
    [MemberData(nameof(Lines))]
    public async Task Fish_completes(string line, string[] expected)
    {
        SkipWithout("fish");
        var result = await ShellAsync("fish", "--no-config", "-c", $"phi3v completion fish | source; complete -C '{line}'");

        Assert.Equal(expected, Words(result));
    }

    [Fact]
    public async Task Fish_offers_files_where_nothing_is_known()
    {
        SkipWithout("fish");
        var result = await ShellAsync("fish", "--no-config", "-c",
            "phi3v completion fish | source; complete -C 'phi3v generate --image da'");

        Assert.Equal(["data/"], Words(result));
    }

    [Theory]
    [MemberData(nameof(Lines))]
    public async Task Zsh_completes(string line, string[] expected)
    {
        SkipWithout("zsh");
        // Its completion runs only in its line editor: a shell in a terminal of its own is given the keys, and writes down what it adds.
        await ShellAsync("zsh", "-f", "-c", $$"""
            zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell "PS1= ; autoload -U compinit; compinit -u -d $HOME/.zcompdump; source <(phi3v completion zsh)"
            zpty -w shell 'compadd() { builtin compadd -O seen "$@"; print -rl -- $seen >> $HOME/seen; builtin compadd "$@" }'
            zpty -w shell 'finish() { : > $HOME/done }; zle -N finish; bindkey "^X" finish; : > $HOME/ready'
            until [[ -e $HOME/ready ]]; do zpty -r -t shell part; sleep 0.1; done
            zpty -n -w shell '{{line}}'$'\t'$'\x18'
            until [[ -e $HOME/done ]]; do zpty -r -t shell part; sleep 0.1; done
            zpty -d shell
            """);

        Assert.Equal(expected, File.ReadAllLines(_cli.At("seen")).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_word_that_is_no_shell_is_refused()
    {
        var result = await _cli.RunAsync("completion", "bsh");

        Assert.Equal((2, "", "phi3v: SHELL: unknown, got bsh; did you mean bash?\n"), (result.ExitCode, result.Stdout, result.Stderr));
    }

    [Fact]
    public async Task A_cluster_that_does_not_answer_costs_no_candidates()
    {
        _cli.Set("PHI3V_CLUSTER", "127.0.0.1:1");

        var result = await _cli.RunAsync("complete", "--", "status", "rec");

        Assert.Equal((0, "receipts-1\n", ""), (result.ExitCode, result.Stdout, result.Stderr));
    }

    private async Task<ProcessResult> ShellAsync(string shell, params string[] arguments)
    {
        await using var process = _cli.StartOther(shell, arguments);
        var result = await process.EndAsync(CliSandbox.Timeout);
        Assert.True(result.ExitCode == 0, $"{result}");
        return result;
    }

    private static string[] Words(ProcessResult result) =>
    [
        .. result.Stdout.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('\t')[0])
            .Order(StringComparer.Ordinal),
    ];

    private static void SkipWithout(string shell) => Assert.SkipUnless(
        Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, shell))),
        $"{shell} is not installed");
}
