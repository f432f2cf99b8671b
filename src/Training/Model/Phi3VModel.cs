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
    private object? _held;

    /// <param name="weights">All weights set and all adapters attached; they stay the caller's and must outlive the model.</param>
    public Phi3VModel(Phi3VConfig config, ModelWeights weights, ComputeOptions? options = null)
    {
        Config = config;
        options ??= new();
        _embedding = new(weights[Phi3VWeights.Embedding], config.PaddingId);
        _images = new(config, weights, options);
        _decoder = new(config, weights, options);
    }

    /// <summary>Whether an image's tokens change while the model is trained.</summary>
    public bool VisionIsTrained => _images.IsTrained;

    /// <summary>Width of the decoder, and of an image token.</summary>
    public int HiddenSize => Config.HiddenSize;

    internal Phi3VConfig Config { get; }

    /// <summary>Keys and values of one position in one layer.</summary>
    internal long CacheBytesPerPosition => 2L * Config.KeyValueHeadCount * Config.HeadSize * _embedding.ElementSize;

    internal Decoder Decoder => _decoder;

    /// <summary>
    /// A promise that no weight's value changes until the result is disposed: what is made of values, such as 8-bit copies, is made once
    /// for all passes.
    /// </summary>
    public IDisposable HoldValues() => new Held(this);

    /// <summary>
    /// One pass over sequences of any lengths, packed end to end: adds the gradients of Σ weight · (mean cross-entropy over a sequence's
    /// supervised positions) to the grad of every trained leaf. A sequence without supervised positions has loss 0 and adds nothing.
    /// </summary>
    /// <param name="weights">One a sequence: 1 / samples for a mean over samples, times the loss scale where there is one.</param>
    /// <param name="unitDone">Told, in this order, each unit (<see cref="Phi3VWeights.UnitOf"/>) whose gradients are complete.</param>
    /// <param name="stop">Ends the pass between two half layers; what it has added to the gradients by then stays.</param>
    /// <exception cref="ArgumentException">Ids, labels and images do not fit together.</exception>
    public PassLoss ForwardBackward(
        IReadOnlyList<ModelInput> inputs, IReadOnlyList<double> weights, Action<string>? unitDone = null, CancellationToken stop = default)
    {
        using var scope = NewDisposeScope();
        var started = Stopwatch.GetTimestamp();
        var pass = Packed(inputs);
        if (pass.Inputs.Count == 0) return new(() => new double[inputs.Count], 0);
        var layout = new SequenceLayout(pass.Pack.Ids);
        var vision = new LayerTape(records: true, unitDone: unitDone, stop: stop);
        var images = ImageTokens(vision, pass.Inputs);
        var text = new LayerTape(records: true, inputNeedsGradient: _embedding.IsTrained || vision.NeedsGradient, unitDone, stop);
        var x_LD = _embedding.Forward(layout, images);
        var decoding = _decoder.PassOver(pass.Pack, x_LD) with { DropoutSeeds = pass.DropoutSeeds, Values = _held ?? new() };
        var losses_R = _decoder.Losses(text, _decoder.Forward(text, x_LD, decoding), pass.Labels, decoding.OfRows);
        var values_R = losses_R.detach();
        var forward = Stopwatch.GetElapsedTime(started);

        if (text.NeedsGradient && text.Backward(tensor(pass.RowWeights(weights), device: losses_R.device)) is { } gradient)
        {
            if (_embedding.IsTrained)
            {
                _embedding.Backward(layout, gradient);
                unitDone?.Invoke(Phi3VWeights.TokenEmbeddingUnit);
            }
            if (vision.NeedsGradient) vision.Backward(layout.ImageRows(gradient));
        }
        var (rows, count) = (values_R.DetachFromDisposeScope(), inputs.Count);
        return new(() => pass.Means(Host(rows), count), forward.TotalSeconds);
    }

    /// <summary>Mean cross-entropy over the supervised positions, without gradients; 0 where there are none.</summary>
    /// <exception cref="ArgumentException">Ids, labels and images do not fit together.</exception>
    public double Loss(ModelInput input, CancellationToken stop = default)
    {
        using var scope = NewDisposeScope();
        var pass = Packed([input]);
        if (pass.Inputs.Count == 0) return 0;
        var tape = new LayerTape(records: false, stop: stop);
        var x_LD = Embed(input with { Ids = pass.Pack.Ids }, stop);
        var last = _decoder.Forward(tape, x_LD, _decoder.PassOver(pass.Pack, x_LD));
        return _decoder.Losses(tape, last, pass.Labels, dropout: null).mean().item<float>();
    }

    /// <summary>Frees the rotation tables; the weights are the caller's.</summary>
    public void Dispose() => _decoder.Dispose();

    /// <summary>The tokens [T, hidden] of an image, without gradients.</summary>
    public Tensor ImageTokens(ImageCrops image, CancellationToken stop = default)
    {
        using var scope = NewDisposeScope();
        return ComputeTokens(new LayerTape(records: false, stop: stop), [image], dropout: null).MoveToOuterDisposeScope();
    }

    /// <summary>The decoder's input [L, hidden], without gradients or dropout.</summary>
    internal Tensor Embed(ModelInput input, CancellationToken stop = default) =>
        _embedding.Forward(
            new SequenceLayout(input.Ids), ImageTokens(new LayerTape(records: false, stop: stop), [input with { DropoutSeed = null }]));

    /// <summary>Every intermediate result of interest, without gradients; logits at <paramref name="logitRows"/> only.</summary>
    internal Activations Inspect(ModelInput input, long[] logitRows)
    {
        var features = input.Images.Count == 0 ? null : _images.Features(new LayerTape(records: false), input.Images);
        var tokens = features is null ? null : _images.Tokens(new LayerTape(records: false), features, input.Images);
        var embeddings = _embedding.Forward(new SequenceLayout(input.Ids), tokens);
        var layers = _decoder.ForwardAll(embeddings, input.Ids);
        using var _ = no_grad();
        var positions = Config.Vision.PositionCount;
        return new(features?.view(-1, positions, Config.Vision.HiddenSize).narrow(1, 1, positions - 1), tokens, embeddings, layers,
            _decoder.Norm(layers[^1]), _decoder.Logits(layers[^1].index_select(0, tensor(logitRows))));
    }

    private PackedInputs Packed(IReadOnlyList<ModelInput> inputs) => PackedInputs.Of(inputs, _decoder.RoundedUp);

    private static float[] Host(Tensor rows)
    {
        using (rows)
        using (var host = rows.cpu())
            return host.data<float>().ToArray();
    }

    private Tensor? ImageTokens(LayerTape tape, IReadOnlyList<ModelInput> inputs)
    {
        if (inputs.Any(input => input.ImageTokens is not null)) // a frozen tower's: no graph leads back to it
        {
            Tensor[] known = [.. inputs.Select(input => input.ImageTokens ?? ImageTokens(tape, [input])).OfType<Tensor>()];
            return known.Length == 1 ? known[0] : cat(known, 0);
        }
        ImageCrops[] images = [.. inputs.SelectMany(input => input.Images)];
        return images.Length == 0 ? null : ComputeTokens(tape, images, inputs);
    }

    private Tensor ComputeTokens(LayerTape tape, IReadOnlyList<ImageCrops> images, IReadOnlyList<ModelInput>? dropout)
    {
        foreach (var (crops, rows, columns) in images)
        {
            if (crops.shape[0] != rows * columns + 1 && (crops.shape[0], rows * columns) != (1, 1))
                throw new ArgumentException($"an image of {rows}×{columns} tiles cannot have {crops.shape[0]} crops");
        }
        var features = _images.Features(tape, images, Rows(image => image.Crops.shape[0] * Config.Vision.PositionCount));
        return _images.Tokens(tape, features, images, Rows(image => image.TokenCount));

        DropoutRows? Rows(Func<ImageCrops, long> count) => dropout is not null && PackedInputs.Seeds(dropout) is { } seeds
            ? new([.. dropout.Select(input => input.Images.Sum(count))], seeds)
            : null;
    }

    private sealed class Held : IDisposable
    {
        private readonly Phi3VModel _model;

        public Held(Phi3VModel model) => (_model = model)._held = this;

        public void Dispose() => _model._held = null;
    }
}

/// <summary>What a pass found, once somebody asks: asking waits for the device, and the next pass need not wait for that.</summary>
/// <param name="means">Reads the device; called once.</param>
/// <param name="forwardSeconds">Host time until backward began; the rest of the call was backward.</param>
public sealed class PassLoss(Func<IReadOnlyList<double>> means, double forwardSeconds)
{
    private readonly Lazy<IReadOnlyList<double>> _means = new(means, LazyThreadSafetyMode.None);

    /// <summary>Mean cross-entropy over each sequence's supervised positions, unweighted; 0 where it has none.</summary>
    public IReadOnlyList<double> Means => _means.Value;

    public double ForwardSeconds => forwardSeconds;
}

/// <param name="VisionFeatures">[crops, 576, tower width]; null without images.</param>
/// <param name="ImageTokens">[image tokens, hidden]; null without images.</param>
/// <param name="Embeddings">[L, hidden].</param>
/// <param name="Layers">Each decoder layer's output, [L, hidden].</param>
internal sealed record Activations(
    Tensor? VisionFeatures, Tensor? ImageTokens, Tensor Embeddings, IReadOnlyList<Tensor> Layers, Tensor FinalNorm, Tensor Logits);
