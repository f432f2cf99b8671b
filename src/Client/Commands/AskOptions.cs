using System.CommandLine;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

/// <summary>The options of every verb that asks a model.</summary>
internal sealed class AskOptions
{
    private readonly ModelArguments _model;
    private readonly Option<int?> _numCrops = new("--num-crops")
    {
        Description = "Most crops of an image. Default: what the adapter was trained with, else what the checkpoint says, else 16.",
        HelpName = "N",
    };
    private readonly Option<int> _maxNewTokens = new("--max-new-tokens")
    {
        Description = "Longest answer, in tokens.",
        HelpName = "N",
        DefaultValueFactory = _ => 64,
    };

    private readonly Option<string> _precision = new("--precision")
    {
        Description = "What the model is kept and computed in: fp32 takes 4 bytes a weight, bf16 and fp16 take 2 "
            + "(the released model: 16.6 and 8.3 GB). auto: bf16 for a large checkpoint that is stored so on a processor that computes it "
            + "fast, else fp32.",
        HelpName = string.Join('|', AskJob.Precisions),
        DefaultValueFactory = _ => AskJob.Precisions[0],
        CompletionSources = { AskJob.Precisions },
    };

    public AskOptions(Command verb)
    {
        _model = new(verb);
        verb.Options.Add(_numCrops);
        verb.Options.Add(_maxNewTokens);
        verb.Options.Add(_precision);
    }

    public ClusterAddress? Cluster(ParseResult parsed) => _model.Cluster(parsed);

    /// <summary>The job with the options' values in it.</summary>
    public T Fill<T>(T job, ParseResult parsed) where T : AskJob => _model.Fill(job, parsed) with
    {
        NumCrops = parsed.GetValue(_numCrops),
        MaxNewTokens = parsed.GetValue(_maxNewTokens),
        Precision = parsed.GetRequiredValue(_precision),
    };
}
