using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class MergeCommand : Verb
{
    private readonly Option<string> _to = new("--to")
    {
        Description = "The checkpoint folder to make; nothing is overwritten.",
        HelpName = "DIR",
        Required = true,
    };
    private readonly Option<string> _dtype = new("--dtype")
    {
        Description = "What weights are stored in. fp32: 4 bytes each, the merged model's logits are those of model and adapter "
            + "within 1e-4. bf16, fp16: 2 bytes, every merged weight is rounded by up to 0.4 % (bf16) or 0.05 % (fp16), "
            + "which moves the logits.",
        HelpName = string.Join('|', MergeJob.Dtypes),
        DefaultValueFactory = _ => MergeJob.Dtypes[0],
        CompletionSources = { MergeJob.Dtypes },
    };
    private readonly ModelArguments _model;

    public MergeCommand() : base("merge", "Make a checkpoint of a model and an adapter, to be used without one.",
        "phi3v merge --model models/phi-3-vision --adapter output/my-run/adapter --to merged")
    {
        _model = new(this, needsAdapter: true);
        Options.Add(_to);
        Options.Add(_dtype);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var job = _model.Fill(new MergeJob
        {
            To = ModelArguments.Absolute(parsed.GetRequiredValue(_to)),
            Dtype = parsed.GetRequiredValue(_dtype),
        }, parsed);
        var result = await JobSession.RunAsync<MergeResult>(job, _model.Cluster(parsed), output, interrupted);
        output.Result(result, to => to.Line(
            $"{result.Merged} linear layers merged, {result.Tensors} tensors in {result.Dtype}, "
            + $"{Words.Number(result.Bytes / 1e6, "0.0")} MB, {Words.Duration(result.Seconds)} → {result.Output}"));
        return ExitCode.Done;
    }
}
