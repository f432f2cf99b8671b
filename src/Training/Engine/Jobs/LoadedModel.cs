using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>A checkpoint in memory, with its adapter and its tokenizer, to be asked and not to be trained. One thread at a time.</summary>
internal sealed class LoadedModel : IDisposable
{
    private readonly FrozenTensors _tensors;
    private readonly Phi3VModel _model;
    private readonly ModelInputs _inputs;
    private readonly Answerer _answerer;

    private LoadedModel(AskJob job, Tokenizer tokenizer, BaseCheckpoint checkpoint)
    {
        Precision = JobPrecision.Of(job.Precision, checkpoint);
        var compute = RankCompute.Plain with { Type = RankCompute.TypeOf(Precision) };
        _tensors = new(compute.Device, compute.Type);
        try
        {
            MaxTokens = checkpoint.Config.MaxPositions;
            var crops = CropChoice.Of(job);
            (NumCrops, Notes) = (crops.Count, [.. checkpoint.Files.Notes, .. crops.Notes]);
            Encoder = new(tokenizer, NumCrops, MaxTokens);
            using var adapter = job.Adapter is { } folder ? AttachedAdapter.Open(folder, checkpoint) : null;
            var weights = checkpoint.Fill(weight => _tensors.Add(weight.Shape));
            adapter?.Attach(weights, _tensors);
            _model = new(checkpoint.Config, weights);
            _inputs = new(_model, compute);
            _answerer = new(_model, tokenizer, StopTokens.Read(job.Model));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public SampleEncoder Encoder { get; }

    /// <summary>What it computes in: fp32, bf16 or fp16.</summary>
    public string Precision { get; }

    /// <summary>Most crops of an image.</summary>
    public int NumCrops { get; }

    /// <summary>Sentences about what was found in the folders.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>The longest sequence, prompt and answer together.</summary>
    public int MaxTokens { get; }

    /// <param name="tokenizer">The one of the model's folder.</param>
    /// <exception cref="InputException">The checkpoint or the adapter is not whole, or they do not fit each other.</exception>
    public static LoadedModel Load(AskJob job, Tokenizer tokenizer)
    {
        using var checkpoint = BaseCheckpoint.Open(job.Model);
        return new(job, tokenizer, checkpoint);
    }

    public GeneratedAnswer Ask(EncodedSample prompt, int maxNewTokens, CancellationToken stop, bool ignoreEndOfText = false)
    {
        using var scope = NewDisposeScope();
        return _answerer.Ask([_inputs.For(prompt)], maxNewTokens, stop, ignoreEndOfText)[0];
    }

    public SampleScorer Scorer(bool measuresLoss, IReadOnlyList<IMetric> metrics, int maxNewTokens) =>
        new(_model, _inputs, _answerer, Encoder, measuresLoss, metrics, maxNewTokens);

    public void Dispose()
    {
        _model?.Dispose();
        _tensors.Dispose();
    }
}
