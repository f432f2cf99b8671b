using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

public sealed class Phi3VModelTests
{
    private const string TowerModule = "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0.self_attn.q_proj";

    [Theory]
    [InlineData("everything", "")]
    [InlineData("decoder", "model.layers.")]
    [InlineData("one layer", "model.layers.1.")]
    [InlineData("head", "lm_head")]
    [InlineData("token embedding", "model.embed_tokens")]
    [InlineData("projector", "model.vision_embed_tokens.img_projection")]
    public void Gradients_layer_by_layer_are_slopes_of_the_loss(string what, string prefix)
    {
        using var scope = NewDisposeScope();
        var weights = TinyModel.Weights(name => name.StartsWith(prefix, StringComparison.Ordinal));
        using var model = new Phi3VModel(TinyModel.Config, weights);
        var input = TinyModel.TwoImages();

        var loss = model.ForwardBackward(input, 3);

        Assert.Equal(model.Loss(input), loss, 1e-6);
        foreach (var info in Phi3VWeights.List(TinyModel.Config))
        {
            var isTrained = info.Name.StartsWith(prefix, StringComparison.Ordinal) && !Phi3VWeights.IsUnused(info.Name, TinyModel.Config);
            Assert.True(weights[info.Name].grad is not null == isTrained, $"{what}: {info.Name}");
            if (!isTrained) continue;
            var direction = TinyModel.Random("direction " + info.Name, info.Shape) * 1e-3;
            if (info.Name == "model.embed_tokens.weight") direction[49] = zeros(16); // the padding id is in the input and not trained
            var expected = (LossMoved(direction) - LossMoved(-direction)) / 2 * 3;
            var slope = (weights[info.Name].grad! * direction).sum().item<float>();
            Assert.True(Math.Abs(slope - expected) < 1e-5 + 0.01 * Math.Abs(expected), $"{what}: {info.Name}: {slope} is not {expected}");

            double LossMoved(Tensor by)
            {
                using var _ = no_grad();
                weights[info.Name].add_(by);
                var moved = model.Loss(input);
                weights[info.Name].sub_(by);
                return moved;
            }
        }
    }

    [Fact]
    public void Gradients_accumulate_in_place_in_views_of_a_flat_buffer()
    {
        using var scope = NewDisposeScope();
        var (weights, flat) = (TinyModel.Weights(), zeros(16 * 24 + 50 * 16));
        var down = Leaf("model.layers.1.mlp.down_proj.weight", 0, 16 * 24);
        Leaf("model.embed_tokens.weight", 16 * 24, 50 * 16);
        using var model = new Phi3VModel(TinyModel.Config, weights);

        model.ForwardBackward(TinyModel.Text(9), 1);
        var once = flat.clone();
        model.ForwardBackward(TinyModel.Text(9), 1);

        Assert.True(once.narrow(0, 0, 16 * 24).abs().max().item<float>() > 0);
        Assert.True(once.narrow(0, 16 * 24, 50 * 16).abs().max().item<float>() > 0);
        Assert.True((flat - once * 2).abs().max().item<float>() < 1e-6);
        Assert.Equal(TensorMemory.Pointer(flat), TensorMemory.Pointer(down.grad!));

        Tensor Leaf(string name, long offset, long count)
        {
            var leaf = weights[name].detach().clone().requires_grad_();
            leaf.grad = flat.narrow(0, offset, count).view(leaf.shape).detach();
            return weights[name] = leaf;
        }
    }

    [Theory]
    [InlineData(TowerModule)]
    [InlineData("model.vision_embed_tokens.img_projection.0")]
    [InlineData("model.layers.0.mlp.down_proj")]
    [InlineData("model.layers.2.self_attn.qkv_proj")]
    [InlineData("lm_head")]
    public void An_adapter_is_its_product_added_to_the_weight(string module)
    {
        using var scope = NewDisposeScope();
        var input = TinyModel.TwoImages();
        var weights = TinyModel.Weights();
        var shape = weights[module + ".weight"].shape;
        var (a, b) = (TinyModel.Random("a", 3, shape[1]), zeros(shape[0], 3));
        weights.Attach(module, new(a, b, 0.5));
        using var adapted = new Phi3VModel(TinyModel.Config, weights);
        using var plain = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        Assert.Equal(plain.Loss(input), adapted.Loss(input));

        b.copy_(TinyModel.Random("b", shape[0], 3));
        var merged = TinyModel.Weights();
        merged[module + ".weight"] = merged[module + ".weight"] + b.mm(a) * 0.5;
        using var expected = new Phi3VModel(TinyModel.Config, merged);

        Assert.NotEqual(plain.Loss(input), adapted.Loss(input));
        Assert.Equal(expected.Loss(input), adapted.Loss(input), 1e-5);
    }

    [Fact]
    public void A_single_crop_stands_for_the_tile_and_the_global_crop()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var crop = TinyModel.Image(1, 1, 1);
        long[] ids = [1, .. Enumerable.Repeat(-1L, crop.TokenCount), 2, 3];
        var once = new ModelInput(ids, [.. ids.Select(id => id == 3 ? id : ModelInput.Ignored)], [crop]);

        var twice = once with { Images = [crop with { Crops = cat([crop.Crops, crop.Crops], 0) }] };

        Assert.Equal(model.Loss(twice), model.Loss(once), 1e-6);
    }

    [Theory]
    [InlineData(4, 6)]
    [InlineData(8, 9)] // passes the original length, 12: the factors change on the way
    [InlineData(20, 3)]
    public void Cached_generation_is_generation_from_the_start_each_time(int promptLength, int newTokens)
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var prompt = TinyModel.Text(promptLength) with { Labels = null };
        var answer = Assert.Single(model.Generate([prompt], new() { MaxNewTokens = newTokens, IgnoreEos = true }));

        Assert.Equal(newTokens, answer.Tokens.Count);
        for (var i = 0; i < newTokens; i++)
        {
            long[] ids = [.. prompt.Ids, .. answer.Tokens.Take(i)];
            var logits = nn.functional.log_softmax(model.Inspect(new(ids, null, []), [ids.Length - 1]).Logits, 1);
            Assert.Equal(logits.argmax(1).item<long>(), answer.Tokens[i]);
            Assert.Equal(logits.max().item<float>(), answer.LogProbabilities[i], 1e-4);
        }
    }

    [Fact]
    public void Prompts_given_together_are_answered_as_if_given_alone()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var options = new TextGenerationOptions { MaxNewTokens = 6, IgnoreEos = true };
        // Two stay short, one is long from the start, and the last passes the original length, 12, on the way.
        ModelInput[] prompts = [TinyModel.Text(20), TinyModel.Text(4), TinyModel.TwoImages(), TinyModel.Text(9)];

        var together = model.Generate(prompts, options);

        foreach (var (prompt, answer) in prompts.Zip(together))
        {
            var alone = Assert.Single(model.Generate([prompt], options));
            Assert.Equal(alone.Tokens, answer.Tokens);
            Assert.All(alone.LogProbabilities.Zip(answer.LogProbabilities), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
        }
        Assert.Empty(model.Generate([], options));
    }

    [Fact]
    public void As_many_answers_grow_together_as_their_caches_have_room()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var options = new TextGenerationOptions { MaxNewTokens = 6, IgnoreEos = true, MaxCacheBytes = 1 };
        ModelInput[] prompts = [TinyModel.Text(7), TinyModel.TwoImages(), TinyModel.Text(5)];

        var oneByOne = model.Generate(prompts, options);

        // Alone, an answer is the same to the last bit.
        Assert.Equal(prompts.Select(prompt => model.Generate([prompt], options)[0].LogProbabilities),
            oneByOne.Select(answer => answer.LogProbabilities));
    }

    [Fact]
    public void An_answer_that_has_ended_does_not_hold_up_the_others()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        ModelInput[] prompts = [TinyModel.Text(5), TinyModel.Text(9)];
        var free = model.Generate(prompts, new() { MaxNewTokens = 8, IgnoreEos = true });
        var end = free[0].Tokens[1];

        var stopped = model.Generate(prompts, new() { MaxNewTokens = 8, StopIds = [end] });

        Assert.True(stopped[0].Tokens.Count < 8);
        Assert.All(free.Zip(stopped), pair => Assert.Equal(
            pair.First.Tokens.TakeWhile(token => token != end), pair.Second.Tokens.TakeWhile(token => token != end)));
    }

    [Fact]
    public void An_answer_ends_where_the_context_does_and_a_prompt_must_fit_it()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config with { MaxPositions = 16 }, TinyModel.Weights());
        var options = new TextGenerationOptions { MaxNewTokens = 9, IgnoreEos = true };

        Assert.Equal(4, model.Generate([TinyModel.Text(13)], options)[0].Tokens.Count);
        Assert.Single(model.Generate([TinyModel.Text(16)], options)[0].Tokens);
        Assert.Contains("17", Assert.Throws<ArgumentException>(() => model.Generate([TinyModel.Text(17)], options)).Message);
        Assert.Contains("has 0", Assert.Throws<ArgumentException>(() => model.Generate([new([], null, [])], options)).Message);
    }

    [Fact]
    public void Generation_ends_with_a_stop_id()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var prompt = TinyModel.Text(5) with { Labels = null };
        var free = model.Generate([prompt], new() { MaxNewTokens = 8, IgnoreEos = true })[0].Tokens;

        var stopped = model.Generate([prompt], new() { MaxNewTokens = 8, StopIds = [free[2]] })[0].Tokens;

        Assert.Equal(free.Take(free.ToList().IndexOf(free[2]) + 1), stopped);
    }

    [Fact]
    public void A_step_leaves_no_tensor_behind()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights(_ => true));
        var input = TinyModel.TwoImages();
        model.ForwardBackward(input, 1);
        var before = scope.DisposablesCount;
        for (var i = 0; i < 3; i++) model.ForwardBackward(input, 1);
        model.Loss(input);
        model.Generate([input], new() { MaxNewTokens = 2 });
        Assert.Equal(before, scope.DisposablesCount);
    }

    [Fact]
    public void Ids_and_images_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        using var model = new Phi3VModel(TinyModel.Config, TinyModel.Weights());
        var input = TinyModel.TwoImages();
        Assert.Contains("places for image tokens", Refusal(input with { Images = [input.Images[0]] }));
        Assert.Contains("cannot have 1 crops", Refusal(input with { Images = [TinyModel.Image(2, 2, 1)] }));
        Assert.Contains("one label for each id", Refusal(input with { Labels = null }));

        string Refusal(ModelInput wrong) => Assert.Throws<ArgumentException>(() => model.Loss(wrong)).Message;
    }

    [Fact]
    public void A_sample_without_supervised_tokens_adds_nothing()
    {
        using var scope = NewDisposeScope();
        var weights = TinyModel.Weights(_ => true);
        using var model = new Phi3VModel(TinyModel.Config, weights);
        var text = TinyModel.Text(6);
        var silent = text with { Labels = [.. text.Ids.Select(_ => ModelInput.Ignored)] };

        Assert.Equal(0, model.ForwardBackward(silent, 1));

        Assert.Equal(0, model.Loss(silent));
        Assert.Null(weights["lm_head.weight"].grad);
    }
}
