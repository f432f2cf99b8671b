using System.Diagnostics;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// Phi-3-Vision as functions over <see cref="ModelWeights"/>: the loss, with or without gradients, here; answers in
/// <see cref="TextGenerator"/>. One thread at a time; gradient mode must be on (the default).
/// </summary>
public sealed class Phi3VModel : IDisposable
{
    private readonly TokenEmbedding _embedding;
    private readonly ImageEmbedding _images;
    private readonly Decoder _decoder;

    /// <param name="weights">All weights set and all adapters attached; they stay the caller's and must outlive the model.</param>
    public Phi3VModel(Phi3VConfig config, ModelWeights weights)
    {
        Config = config;
        _embedding = new(weights[Phi3VWeights.Embedding], config.PaddingId);
        _images = new(config, weights);
        _decoder = new(config, weights);
    }

    internal Phi3VConfig Config { get; }

    internal Decoder Decoder => _decoder;

    /// <summary>
    /// Adds the gradients of weight · (mean cross-entropy over the supervised positions) to the grad of every trained leaf.
    /// A sample without supervised positions has loss 0 and adds nothing.
    /// </summary>
    /// <param name="lossWeight">1 / samples for a mean over samples, the sample's share of all supervised tokens for one over tokens.</param>
    /// <exception cref="ArgumentException">Ids, labels and images do not fit together.</exception>
    public SampleLoss ForwardBackward(ModelInput input, double lossWeight)
    {
        using var scope = NewDisposeScope();
        var started = Stopwatch.GetTimestamp();
        var rows = input.SupervisedRows();
        if (rows.Length == 0) return new(0, 0, 0);
        var layout = new SequenceLayout(input.Ids);
        var vision = new LayerTape(records: true);
        var images = ImageTokens(vision, input);
        var text = new LayerTape(records: true, inputNeedsGradient: _embedding.IsTrained || vision.NeedsGradient);
        var last = _decoder.Forward(text, _embedding.Forward(layout, images), rows);
        var loss = _decoder.Loss(text, last, input.LabelsAfter(rows));
        var value = loss.detach();
        var forward = Stopwatch.GetElapsedTime(started);

        if (text.NeedsGradient && text.Backward(tensor((float)lossWeight, device: loss.device)) is { } gradient)
        {
            if (_embedding.IsTrained) _embedding.Backward(layout, gradient);
            if (vision.NeedsGradient) vision.Backward(layout.ImageRows(gradient));
        }
        return new(value.item<float>(), rows.Length, forward.TotalSeconds); // the one wait for the device
    }

    /// <summary>Mean cross-entropy over the supervised positions, without gradients; 0 where there are none.</summary>
    /// <exception cref="ArgumentException">Ids, labels and images do not fit together.</exception>
    public double Loss(ModelInput input)
    {
        using var scope = NewDisposeScope();
        var rows = input.SupervisedRows();
        if (rows.Length == 0) return 0;
        var tape = new LayerTape(records: false);
        var last = _decoder.Forward(tape, Embed(input), rows);
        return _decoder.Loss(tape, last, input.LabelsAfter(rows)).item<float>();
    }

    /// <summary>Frees the rotation tables; the weights are the caller's.</summary>
    public void Dispose() => _decoder.Dispose();

    /// <summary>The decoder's input [L, hidden], without gradients.</summary>
    internal Tensor Embed(ModelInput input) =>
        _embedding.Forward(new SequenceLayout(input.Ids), ImageTokens(new LayerTape(records: false), input));

    /// <summary>Every intermediate result of interest, without gradients; logits at <paramref name="logitRows"/> only.</summary>
    internal Activations Inspect(ModelInput input, long[] logitRows)
    {
        var features = input.Images.Count == 0 ? null : _images.Features(new LayerTape(records: false), input.Images);
        var tokens = features is null ? null : _images.Tokens(new LayerTape(records: false), features, input.Images);
        var embeddings = _embedding.Forward(new SequenceLayout(input.Ids), tokens);
        var layers = _decoder.ForwardAll(embeddings);
        using var _ = no_grad();
        var positions = Config.Vision.PositionCount;
        return new(features?.view(-1, positions, Config.Vision.HiddenSize).narrow(1, 1, positions - 1), tokens, embeddings, layers,
            _decoder.Norm(layers[^1]), _decoder.Logits(layers[^1].index_select(0, tensor(logitRows))));
    }

    private Tensor? ImageTokens(LayerTape tape, ModelInput input)
    {
        if (input.Images.Count == 0) return null;
        foreach (var (crops, rows, columns) in input.Images)
        {
            if (crops.shape[0] != rows * columns + 1 && (crops.shape[0], rows * columns) != (1, 1))
                throw new ArgumentException($"an image of {rows}×{columns} tiles cannot have {crops.shape[0]} crops");
        }
        return _images.Tokens(tape, _images.Features(tape, input.Images), input.Images);
    }
}

/// <param name="Mean">Mean cross-entropy over the supervised tokens, unweighted.</param>
/// <param name="SupervisedTokens">How many there are.</param>
/// <param name="ForwardSeconds">Host time until the loss was asked for; the rest of the call was backward.</param>
public readonly record struct SampleLoss(double Mean, int SupervisedTokens, double ForwardSeconds);

/// <param name="VisionFeatures">[crops, 576, tower width]; null without images.</param>
/// <param name="ImageTokens">[image tokens, hidden]; null without images.</param>
/// <param name="Embeddings">[L, hidden].</param>
/// <param name="Layers">Each decoder layer's output, [L, hidden].</param>
internal sealed record Activations(
    Tensor? VisionFeatures, Tensor? ImageTokens, Tensor Embeddings, IReadOnlyList<Tensor> Layers, Tensor FinalNorm, Tensor Logits);
