using Phi3VCluster.Training.Model.Quantization;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Model;

/// <summary>
/// The tensors a model computes with, by checkpoint name: frozen ones, or trained leaves whose <c>grad</c> the caller has set.
/// The tensors stay the caller's; a model reads them when it is constructed, so they are all set, and all adapters attached, before that.
/// </summary>
public sealed class ModelWeights
{
    private readonly Dictionary<string, Tensor> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LowRank> _adapters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Nf4Matrix> _quantized = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Nf4Place> _places = new(StringComparer.Ordinal);

    /// <exception cref="KeyNotFoundException">It was not set.</exception>
    public Tensor this[string name]
    {
        get => _tensors.TryGetValue(name, out var tensor) ? tensor : throw new KeyNotFoundException($"The weight {name} was not set.");
        set => _tensors[name] = value;
    }

    /// <summary>
    /// Gives a linear map a weight in 4 bits, of which at most one layer's are unpacked at a time: maps of one kind in different layers
    /// share the place.
    /// </summary>
    /// <param name="name">The weight's.</param>
    /// <param name="type">What the model computes in.</param>
    /// <param name="own">Takes over the places made here.</param>
    public void Quantize(string name, Nf4Tensor weight, ScalarType type, Func<IDisposable, IDisposable> own)
    {
        var kind = string.Join('.', name.Split('.').TakeLast(3)); // e.g. mlp.down_proj.weight
        if (!_places.TryGetValue(kind, out var place)) _places.Add(kind, place = (Nf4Place)own(new Nf4Place(weight, type)));
        _quantized[name] = new(weight, place);
    }

    /// <summary>
    /// ‖w‖ of every row of a linear map's weight, [out] float32, in the current dispose scope: what DoRA's magnitudes start from.
    /// </summary>
    public Tensor RowNorms(string module)
    {
        using var scope = NewDisposeScope();
        var weight = Matrix(module + ".weight").Value;
        var (a, b) = (zeros(1, weight.shape[1], device: weight.device), zeros(weight.shape[0], 1, device: weight.device));
        return LowRank.RowNorms(weight, a, b, scale: 0).MoveToOuterDisposeScope();
    }

    /// <summary>Adds a low-rank update to the linear map <paramref name="module"/>, the weight's name without <c>.weight</c>.</summary>
    public void Attach(string module, LowRank adapter) => _adapters[module] = adapter;

    internal Linear Linear(string module, bool hasBias = false) => new(
        Matrix(module + ".weight"), hasBias ? this[module + ".bias"] : null, _adapters.GetValueOrDefault(module),
        salt: SplitMix64.For(module, 0, 0).Next());

    private MatrixWeight Matrix(string name) => _quantized.TryGetValue(name, out var quantized) ? quantized : new DenseMatrix(this[name]);

    internal LayerNorm LayerNorm(string module, double epsilon) => new(this[module + ".weight"], this[module + ".bias"], epsilon);
}
